"""Rate limits: one table, kept by Flask-Limiter in memory or Redis, enforced and documented from here.

Every attempt counts, also a malformed or a successful one: a limit that only counts failures can be raced. While Redis
is away each process counts in its memory, and allows half.
"""

import hashlib
import math
import time
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from flask import Flask, Response, current_app, g, request
from flask_jwt_extended import get_jwt
from flask_limiter import Limiter
from limits import RateLimitItem, parse_many

from ..config import Settings, settings
from ..observability import metrics
from ..problems import Problem, TooManyRequests
from .body import read_json
from .device import network_of
from .rate_storage import SCHEME, RedisOrMemory

EXTENSION = "keycard.limiter"
RATES = "keycard.rates"


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
    item: RateLimitItem

    @property
    def limit(self) -> int:
        return self.item.amount

    @property
    def window(self) -> int:
        return self.item.get_expiry()

    @property
    def text(self) -> str:
        return _text(self.item)


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
        return [Part(name, item) for name, item in zip(names, items, strict=True)]


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


class Count(NamedTuple):
    """What came of counting a request. left: requests that still fit. seconds: until there is room for one more."""

    part: Part
    granted: bool
    left: int
    seconds: int


def init_app(app: Flask, settings: Settings) -> None:
    """Set up the counters, and read the table's rates once."""
    app.config["RATELIMIT_ENABLED"] = settings.ratelimit_enabled
    limiter = Limiter(
        address,
        app=app,
        storage_uri=f"{SCHEME}+{settings.redis_url}" if settings.redis_url else "memory://",
        strategy="moving-window",
    )
    app.extensions[EXTENSION] = limiter
    app.extensions[RATES] = {limit.name: [(rate.key, rate.parts(settings)) for rate in limit.rates] for limit in TABLE}
    if settings.ratelimit_enabled and isinstance(limiter.storage, RedisOrMemory):
        storage = limiter.storage
        metrics.watch(
            app,
            metrics.Gauge(
                "keycard_rate_limits_in_memory",
                "1 while a process counts in its memory, because Redis is away.",
                lambda: storage.in_memory,
                across="livemax",
            ),
        )
    app.after_request(_add_headers)


def count(limit: Limit) -> None:
    """Count this request against a row of the table, until one of its rates has no room.

    Raises TooManyRequests.
    """
    if not (limit.rates and settings().ratelimit_enabled):
        return
    g.counts = []
    try:
        for key, parts in current_app.extensions[RATES][limit.name]:
            whom = key()
            for part in parts:
                _count(part, whom)
    except TooManyRequests:
        if limit == LOGIN:  # flask-smorest copies what an operation declares
            metrics.count(metrics.LOGINS, "throttled")
        raise


def _count(part: Part, whom: str) -> None:
    limiter: Limiter = current_app.extensions[EXTENSION]
    granted = limiter.limiter.hit(part.item, "keycard", whom, part.name)
    window = limiter.limiter.get_window_stats(part.item, "keycard", whom, part.name)
    # The oldest entry may have been written by a process whose clock is ahead of ours.
    seconds = max(1, min(part.window, math.ceil(window.reset_time - time.time())))
    g.counts.append(Count(part, granted, max(0, window.remaining), seconds))
    if not granted:
        raise TooManyRequests(retry_after=seconds)


def _add_headers(response: Response) -> Response:
    """RateLimit and RateLimit-Policy, for the limit with the least room (draft-ietf-httpapi-ratelimit-headers-10)."""
    counts: list[Count] = g.get("counts", [])
    if counts:
        policies = [f'"{each.part.name}";q={each.part.limit};w={each.part.window}' for each in counts]
        least = min(counts, key=lambda each: (each.left, -each.seconds))  # of two, the one that takes longer
        response.headers["RateLimit-Policy"] = ", ".join(policies)
        response.headers["RateLimit"] = f'"{least.part.name}";r={least.left};t={least.seconds}'
    return response
