"""Rate limits: one table, kept by Flask-Limiter in memory or Redis, enforced and documented from here.

Every attempt counts, also a malformed or a successful one: a limit that only counts failures can be raced. When Redis
is away the same limits go on in memory, per process, and the change is logged.
"""

import hashlib
import math
import time
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from flask import Flask, Response, current_app, g, request
from flask_jwt_extended import get_jwt
from flask_limiter import Limiter, RateLimitExceeded, RequestLimit
from limits import RateLimitItem, parse_many

from .. import problems
from ..config import Settings, settings
from ..observability import metrics
from ..problems import Problem, TooManyRequests
from . import window
from .body import read_json
from .device import network_of

EXTENSION = "keycard.limits"
REDIS_TIMEOUT_SECONDS = 0.25


def address() -> str:
    """The caller's address, of IPv6 the /64; behind proxies only as far as KEYCARD_TRUSTED_HOPS says."""
    return network_of(request.remote_addr, ipv4_prefix=32)


def named_account_and_address() -> str:
    """The account that a sign-in names, together with the address, so that nobody can lock out somebody else."""
    try:
        body = read_json()
    except Problem:
        return address()
    name = body.get("username") if isinstance(body, dict) else None
    if not isinstance(name, str):
        return address()
    key = unicodedata.normalize("NFKC", name).casefold()
    return f"{hashlib.sha256(key.encode()).hexdigest()[:32]}:{address()}"


def signed_in_account() -> str:
    """The person of the verified token."""
    return str(get_jwt()["sub"])


def caller() -> str:
    """The person of the verified token; without one, the address."""
    try:
        return signed_in_account()
    except RuntimeError:  # nobody looked for a token
        return address()


class Part(NamedTuple):
    """One part of a rate: so many requests in so many seconds. name: of its policy in the RateLimit headers. text: `3/minute`."""

    name: str
    limit: int
    window: int
    text: str


@dataclass(frozen=True)
class Rate:
    """What is counted. name: of the setting KEYCARD_RATELIMIT_<NAME>, which holds the rate. key: whom it counts."""

    name: str
    key: Callable[[], str]
    counts: str

    def parts(self, settings: Settings) -> list[Part]:
        """The parts of the rate, every one of which must have room. The shortest window has the name of the rate alone."""
        items = sorted(parse_many(getattr(settings, f"ratelimit_{self.name}")), key=lambda each: each.get_expiry())
        names = [self.name, *(f"{self.name}_{each.get_expiry()}" for each in items[1:])]
        return [Part(name, each.amount, each.get_expiry(), _text(each)) for name, each in zip(names, items, strict=True)]


def _text(item: RateLimitItem) -> str:
    unit = item.GRANULARITY.name
    return f"{item.amount}/{unit}" if item.multiples == 1 else f"{item.amount}/{item.multiples} {unit}s"


@dataclass(frozen=True)
class Limit:
    """What an operation declares: every one of its rates must have room."""

    name: str
    rates: tuple[Rate, ...]


LOGIN = Limit(
    "login",
    (
        Rate("login_account", named_account_and_address, "per account and address"),
        Rate("login_address", address, "per address"),
    ),
)
PASSWORD = Limit("password", (Rate("password", signed_in_account, "per account"),))
REGISTER = Limit("register", (Rate("register", address, "per address"),))
MAIL = Limit("mail", (Rate("mail", caller, "per caller"),))
GENERAL = Limit("general", (Rate("general", lambda: f"{request.endpoint}:{address()}", "per operation and address"),))
UNLIMITED = Limit("unlimited", ())
TABLE = (LOGIN, PASSWORD, REGISTER, MAIL, GENERAL)


def init_app(app: Flask, settings: Settings) -> None:
    """Set up the counters, one check per row of the table."""
    app.config["RATELIMIT_ENABLED"] = settings.ratelimit_enabled
    options: dict[str, Any] = {}
    if settings.redis_url:
        options = {"socket_timeout": REDIS_TIMEOUT_SECONDS, "socket_connect_timeout": REDIS_TIMEOUT_SECONDS}
    limiter = Limiter(
        address,
        app=app,
        storage_uri=f"{window.PREFIX}{settings.redis_url}" if settings.redis_url else "memory://",
        storage_options=options,
        strategy="moving-window",
        in_memory_fallback_enabled=bool(settings.redis_url),
        key_prefix="keycard",
    )
    # What it does before and after every request is for routes that it decorates; ours say themselves what counts, and when.
    every: tuple[Any, ...] = (app.before_request_funcs, app.after_request_funcs)
    for hooks in every:
        hooks[None] = [each for each in hooks[None] if not _is_of(limiter, each)]
    app.extensions[EXTENSION] = {limit.name: _check(limiter, limit, settings) for limit in TABLE}
    app.extensions["keycard.limiter"] = limiter
    if settings.redis_url:
        metrics.watch(
            app,
            metrics.Gauge(
                "keycard_rate_limits_in_memory",
                "1 while a process counts in its memory, because Redis is away.",
                lambda: limiter._storage_dead,  # noqa: SLF001 - there is no other way to ask
                across="livemax",
            ),
        )
    app.register_error_handler(RateLimitExceeded, _too_many)
    app.after_request(_add_headers)


def _is_of(limiter: Limiter, hook: Any) -> bool:
    """Whether a hook is a method of it, or a partial of one."""
    return getattr(hook, "__self__", None) is limiter or limiter in getattr(hook, "args", ())


def _check(limiter: Limiter, limit: Limit, settings: Settings) -> Callable[[], None]:
    def check() -> None:
        """Count this request; Flask-Limiter does so before the body of a decorated function runs."""

    check.__qualname__ = f"check_{limit.name}"  # Flask-Limiter tells limits apart by this name
    decorated: Callable[[], None] = check
    for rate in limit.rates:
        for part in rate.parts(settings):
            decorated = limiter.shared_limit(part.text, scope=part.name, key_func=rate.key)(decorated)
    return decorated


def count(limit: Limit) -> None:
    """Count this request against a row of the table.

    Raises RateLimitExceeded, which is answered as TooManyRequests.
    """
    if not (limit.rates and settings().ratelimit_enabled):
        return
    g.limited = True
    try:
        current_app.extensions[EXTENSION][limit.name]()
    except RateLimitExceeded:
        if limit.name == LOGIN.name:
            metrics.count(metrics.LOGINS, "throttled")
        raise


def _current() -> list[RequestLimit]:
    if "limited" not in g:
        return []
    limiter: Limiter = current_app.extensions["keycard.limiter"]
    return limiter.current_limits


def _too_many(_: RateLimitExceeded) -> Response:
    waits = [_seconds_left(each) for each in _current() if each.breached]
    return problems.response(TooManyRequests(retry_after=max(waits, default=1)))


def _seconds_left(each: RequestLimit) -> int:
    # The oldest entry may have been written by a process whose clock is ahead of ours.
    return max(1, min(each.limit.get_expiry(), math.ceil(each.window.reset_time - time.time())))


def _add_headers(response: Response) -> Response:
    """RateLimit and RateLimit-Policy, for the limit with the least room (draft-ietf-httpapi-ratelimit-headers-10)."""
    current = _current()
    if current:
        policies = [f'"{_scope(each)}";q={each.limit.amount};w={each.limit.get_expiry()}' for each in current]
        least = min(current, key=lambda each: (each.remaining, -_seconds_left(each)))  # of two, the one that takes longer
        response.headers["RateLimit-Policy"] = ", ".join(policies)
        response.headers["RateLimit"] = f'"{_scope(least)}";r={max(0, least.remaining)};t={_seconds_left(least)}'
    return response


def _scope(each: RequestLimit) -> str:
    return each.request_args[-1]
