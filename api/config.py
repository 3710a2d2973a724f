"""Every setting, once: its type, unit, default and bounds; and what production refuses.

The environment variable of a field is `KEYCARD_` and its name in capitals. The table in docs/settings.md is
checked against this class by a test.
"""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from email.errors import MessageError
from email.headerregistry import Address
from pathlib import Path
from typing import Any, NamedTuple, cast
from urllib.parse import SplitResult, urlsplit

from dotenv import dotenv_values
from environs import Env, EnvValidationError
from flask import Flask, current_app
from flask.helpers import get_debug_flag
from limits import parse_many
from marshmallow import ValidationError
from marshmallow.validate import OneOf, Range
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from .guessing import is_random

PREFIX = "KEYCARD_"
# What took the place of settings that are no more.
REPLACED = {"KEYCARD_METRICS_ENABLED": "metrics have a port of their own, set KEYCARD_METRICS_PORT"}
DEVELOPMENT_URL = "http://127.0.0.1:8000"


class Argon2(NamedTuple):
    """Parameters of argon2id. memory_cost: KiB."""

    time_cost: int
    memory_cost: int
    parallelism: int


# RFC 9106, section 4, the second recommended option; OWASP Password Storage Cheat Sheet.
ARGON2_PROFILES = {"rfc9106": Argon2(3, 65_536, 4), "owasp": Argon2(2, 19_456, 1)}


class ConfigurationError(Exception):
    """The settings are unusable; the message names every fault, one per line."""


def _rate(value: str) -> None:
    try:
        windows = [each.get_expiry() for each in parse_many(value)]
    except ValueError:
        raise ValidationError("a rate reads like 5/minute or 5/minute;20/hour") from None
    if len(set(windows)) < len(windows):
        raise ValidationError("two parts of a rate have the same window")


def _database_url(value: str) -> None:
    try:
        url = make_url(value)
    except (ArgumentError, ValueError):
        raise ValidationError("not a database URL") from None
    driver = url.drivername
    if driver not in {"sqlite", "postgresql", "postgresql+psycopg"}:
        raise ValidationError("use postgresql://... or sqlite:///...")
    if driver == "sqlite" and url.query:
        raise ValidationError("sqlite:///file takes no parameters")


def _split(value: str) -> SplitResult:
    """Take a URL apart; one that cannot be is one that has nothing."""
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError:
        return urlsplit("")
    return parts


def _redis_url(value: str) -> None:
    if _split(value).scheme not in {"redis", "rediss", "unix"}:
        raise ValidationError("use redis://, rediss:// or unix://")


def _smtp_url(value: str) -> None:
    parts = _split(value)
    if parts.scheme not in {"smtp", "smtps"} or not parts.hostname:
        raise ValidationError("use smtp://user:password@host:587 or smtps://user:password@host:465")


def _mailbox(value: str) -> None:
    if not re.fullmatch(r"[^\r\n<>]*<[^\s<>@]+@[^\s<>@]+>|[^\s<>@]+@[^\s<>@]+", value):
        raise ValidationError("reads like Keycard <keycard@example.com>")
    try:
        Address(addr_spec=value.rpartition("<")[2].rstrip(">"))
    except (ValueError, IndexError, MessageError):
        raise ValidationError("is no e-mail address") from None


def _link(value: str) -> None:
    parts = _split(value)
    if parts.scheme not in {"http", "https"} or not parts.netloc or parts.fragment:
        raise ValidationError("reads like https://app.example.com/page")


def _origin(value: str) -> bool:
    parts = _split(value)
    # Flask-CORS takes anything with other marks for a regular expression.
    host = re.fullmatch(r"[a-z0-9.-]+(:[0-9]{1,5})?", parts.netloc)
    return parts.scheme in {"http", "https"} and bool(host) and value == f"{parts.scheme}://{parts.netloc}"


def _setting(default: Any, doc: str, *checks: Callable[[Any], Any], secret: bool = False) -> Any:
    """secret: it must not be seen when the settings are printed."""
    return field(default=default, metadata={"doc": doc, "checks": checks}, repr=not secret)


def _weakness(name: str, secret: str | None) -> tuple[str, bool]:
    """What may be wrong with a secret that signs; none is right."""
    told = f"{name}: shorter than 32 random bytes, well known or guessable; make one with: openssl rand -base64 48"
    return told, bool(secret) and not is_random(secret or "")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All settings, read once at start. Durations are whole seconds."""

    env: str = _setting("development", "`development` or `production`", OneOf(["development", "production"]))
    instance_path: str = _setting("instance", "folder of the embedded files: the SQLite database")
    public_url: str = _setting(
        DEVELOPMENT_URL, "where clients reach this service; the `iss` of every token and the base of every link"
    )
    audience: str | None = _setting(None, "the `aud` of access tokens; the public URL when not set")
    database_url: str | None = _setting(
        None,
        "`postgresql://user@host/name`, or `sqlite:///file`, from the instance folder; SQLite there when not set",
        _database_url,
        secret=True,
    )
    redis_url: str | None = _setting(
        None, "`redis://host:6379/0`, for rate limits and the revocation mirror; memory when not set", _redis_url, secret=True
    )
    redis_required: bool = _setting(default=True, doc="whether `/health/ready` is 503 while a configured Redis is away")
    jwt_algorithm: str = _setting("EdDSA", "`EdDSA`, `RS256`, or `HS256` with a secret", OneOf(["EdDSA", "RS256", "HS256"]))
    jwt_secret: str | None = _setting(
        None, "the HS256 secret, 32 random bytes or more; only with `KEYCARD_JWT_ALGORITHM=HS256`", secret=True
    )
    jwt_verifying_secret: str | None = _setting(
        None, "another HS256 secret, which only verifies: the one before, or the one to come, while it is changed", secret=True
    )
    access_token_lifetime: int = _setting(900, "life of an access token, seconds", Range(1, 86_400))
    refresh_token_lifetime: int = _setting(604_800, "life of a refresh token, seconds; each rotation starts it anew", Range(2))
    session_lifetime: int = _setting(2_592_000, "life of a session, seconds, however often it is refreshed", Range(2))
    refresh_grace: int = _setting(
        10, "seconds in which the token just spent answers its successor again; 0 switches it off", Range(0, 300)
    )
    fresh_lifetime: int = _setting(600, "seconds after a password was given in which a token counts as fresh", Range(1, 86_400))
    cors_origins: tuple[str, ...] = _setting((), "origins allowed to call from a browser, comma-separated; none when not set")
    trusted_hops: int = _setting(
        0, "number of proxies in front whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed", Range(0, 10)
    )
    smtp_url: str | None = _setting(
        None,
        "where mail goes: `smtp://user:password@host:587` (STARTTLS) or `smtps://user:password@host:465` (TLS); `.eml` files "
        "in the folder `outbox` beside the database when not set",
        _smtp_url,
        secret=True,
    )
    mail_from: str = _setting("Keycard <keycard@localhost>", "the sender of every mail, `Name <address>`", _mailbox)
    verify_email_url: str | None = _setting(
        None,
        "page of your app that reads `#token=` and calls `verify_email`; `/verify-email` of this service when not set",
        _link,
    )
    reset_password_url: str | None = _setting(
        None,
        "page of your app that reads `#token=` and calls `reset_password`; `/reset-password` of this service when not set",
        _link,
    )
    verification_lifetime: int = _setting(
        86_400, "life of a mailed token that proves an address, seconds", Range(3600, 2_592_000)
    )
    reset_lifetime: int = _setting(600, "life of a mailed token that resets a password, seconds", Range(60, 86_400))
    mail_per_hour: int = _setting(
        2000, "mails that leave within an hour, over all; further ones wait. A mailbox gets 5 of each kind with a token", Range(1)
    )
    device_retention: int = _setting(
        2_592_000,
        "how long the audit log keeps addresses and browsers of a deleted account, seconds; `keycard purge` removes them",
        Range(0),
    )
    audit_retention: int = _setting(
        31_536_000, "how long events stay in the audit log, seconds; `keycard purge` deletes older ones", Range(86_400)
    )
    max_body_bytes: int = _setting(65_536, "largest accepted request body, bytes", Range(1024))
    password_policy: str = _setting(
        "classic",
        "`classic` (10 characters, one of A-Z, a digit) or `nist` (15 characters); what is easy to guess is refused by both",
        OneOf(["classic", "nist"]),
    )
    reserved_usernames: tuple[str, ...] = _setting(
        (), "usernames that nobody can register, comma-separated, besides `admin`, `root`, `support` and others"
    )
    breached_passwords_url: str | None = _setting(
        None,
        "range API that is asked whether a new password has leaked, by the first five digits of its SHA-1; such as "
        "`https://api.pwnedpasswords.com/range/`; nobody is asked when not set",
        _link,
    )
    argon2_profile: str = _setting(
        "rfc9106",
        "parameters of argon2id: `rfc9106` (3 passes, 64 MiB, 4 lanes) or `owasp` (2 passes, 19 MiB, 1 lane)",
        OneOf([*ARGON2_PROFILES]),
    )
    argon2_time_cost: int | None = _setting(None, "argon2id passes; the profile's when not set", Range(1))
    argon2_memory_cost: int | None = _setting(None, "argon2id memory of one hash, KiB; the profile's when not set", Range(8))
    argon2_parallelism: int | None = _setting(None, "argon2id lanes of one hash; the profile's when not set", Range(1))
    argon2_concurrency: int = _setting(
        0,
        "hashes running at once in one process; 0 means one per core, divided among the workers of `keycard serve`",
        Range(0),
    )
    argon2_queue: int | None = _setting(
        None,
        "sign-ins that may wait for a hash in one process, each in a thread; when not set, 8, or with `keycard serve` so many "
        "that half of its threads are left",
        Range(0),
    )
    ratelimit_enabled: bool = _setting(default=True, doc="whether requests are counted at all")
    ratelimit_login_account: str = _setting("5/minute", "sign-ins per account and address", _rate)
    ratelimit_login_address: str = _setting("20/minute", "sign-ins per address", _rate)
    ratelimit_password: str = _setting("5/minute", "password checks of a signed-in account", _rate)
    ratelimit_register: str = _setting("3/minute;30/hour", "registrations per address", _rate)
    ratelimit_mail: str = _setting("3/minute;20/hour", "requests that send mail, per caller", _rate)
    ratelimit_general: str = _setting(
        "600/minute", "ceiling per address and operation for public and for writing operations", _rate
    )
    docs_enabled: bool = _setting(default=True, doc="whether `/docs` is served")
    log_format: str | None = _setting(
        None,
        "`json`, one object a line, or `console`, for people; `json` in production and `console` in development when not set",
        OneOf(["json", "console"]),
    )
    log_level: str = _setting(
        "info",
        "the least level that is logged: `debug` (good health checks too), `info` (requests), `warning` or `error`",
        OneOf(["debug", "info", "warning", "error"]),
    )
    metrics_port: int | None = _setting(
        None,
        "port on which `keycard serve` answers `/metrics`, for Prometheus, and `/ready`, readiness part by part; nothing listens "
        "when not set",
        Range(1, 65_535),
    )
    metrics_host: str = _setting("127.0.0.1", "address of the metrics port; give another one only where a network is private")

    @property
    def production(self) -> bool:
        return self.env == "production"

    @property
    def reachable_only_from_here(self) -> bool:
        """Whether nobody but this machine is meant to use this deployment."""
        return not self.production and not self.trusted_hops and urlsplit(self.public_url).hostname in {"127.0.0.1", "localhost"}

    @property
    def token_audience(self) -> str:
        return self.audience or self.public_url

    @property
    def argon2(self) -> Argon2:
        profile = ARGON2_PROFILES[self.argon2_profile]
        return Argon2(*(getattr(self, f"argon2_{name}") or value for name, value in profile._asdict().items()))

    @property
    def instance(self) -> Path:
        return Path(self.instance_path).absolute()

    @property
    def database(self) -> str:
        """The SQLAlchemy URL; psycopg 3 for PostgreSQL."""
        if self.database_url is None:
            return f"sqlite:///{self.instance / 'keycard.sqlite3'}"
        url = make_url(self.database_url)
        if url.get_backend_name() == "sqlite" and url.database and url.database != ":memory:":
            url = url.set(database=str(self.instance / url.database))
        if url.get_backend_name() == "postgresql":
            url = url.set(drivername="postgresql+psycopg")
        return url.render_as_string(hide_password=False)

    def faults(self) -> list[str]:
        """Name everything that makes these settings unusable, in production also everything unsafe."""
        found = [fault for fault, wrong in self._contradictions() if wrong]
        if self.production:
            found += [fault for fault, unsafe in self._dangers() if unsafe]
        return found

    def _contradictions(self) -> list[tuple[str, bool]]:
        hs256 = self.jwt_algorithm == "HS256"
        origins = self.cors_origins
        return [
            ("KEYCARD_JWT_SECRET: required with HS256; make one with: openssl rand -base64 48", hs256 and not self.jwt_secret),
            _weakness("KEYCARD_JWT_SECRET", self.jwt_secret),
            ("KEYCARD_JWT_SECRET: set, but KEYCARD_JWT_ALGORITHM is not HS256", bool(self.jwt_secret) and not hs256),
            _weakness("KEYCARD_JWT_VERIFYING_SECRET", self.jwt_verifying_secret),
            ("KEYCARD_JWT_VERIFYING_SECRET: must not be KEYCARD_JWT_SECRET",
             bool(self.jwt_secret) and self.jwt_secret == self.jwt_verifying_secret),
            ("KEYCARD_CORS_ORIGINS: * would let every site act for a signed-in user; name the origins", "*" in origins),
            ("KEYCARD_CORS_ORIGINS: an origin reads like https://app.example.com",
             any(not _origin(origin) for origin in origins if origin != "*")),
            ("KEYCARD_PUBLIC_URL: reads like https://auth.example.com, with no path", not _origin(self.public_url)),
            ("KEYCARD_ARGON2_MEMORY_COST: must be at least 8 times KEYCARD_ARGON2_PARALLELISM",
             self.argon2.memory_cost < 8 * self.argon2.parallelism),
            ("KEYCARD_REFRESH_TOKEN_LIFETIME: must be longer than KEYCARD_ACCESS_TOKEN_LIFETIME",
             self.refresh_token_lifetime <= self.access_token_lifetime),
            ("KEYCARD_SESSION_LIFETIME: must not be shorter than KEYCARD_REFRESH_TOKEN_LIFETIME",
             self.session_lifetime < self.refresh_token_lifetime),
        ]  # fmt: skip

    def _dangers(self) -> list[tuple[str, bool]]:
        # OWASP: 19 MiB and two passes, or as much work with more passes and no less than 7 MiB.
        weak_hash = self.argon2.memory_cost * self.argon2.time_cost < 38_912 or self.argon2.memory_cost < 7168
        pages = (self.verify_email_url, self.reset_password_url, self.breached_passwords_url)
        return [
            ("FLASK_DEBUG: must be off in production; the debugger runs whatever a visitor types", get_debug_flag()),
            ("KEYCARD_DATABASE_URL: required in production", self.database_url is None),
            ("KEYCARD_PUBLIC_URL: must be https in production", not self.public_url.startswith("https://")),
            ("KEYCARD_RATELIMIT_ENABLED: must not be false in production", not self.ratelimit_enabled),
            ("KEYCARD_ARGON2_*: weaker than OWASP's minimum (19456 KiB, 2 passes)", weak_hash),
            ("KEYCARD_*_URL: pages and services must be https in production",
             any(page is not None and not page.startswith("https://") for page in pages)),
            ("KEYCARD_SMTP_URL: required in production; without mail nobody can reset a password", self.smtp_url is None),
            ("KEYCARD_MAIL_FROM: required in production", self.mail_from.rstrip(">").endswith("@localhost")),
            ("KEYCARD_CORS_ORIGINS: origins must be https in production",
             any(not origin.startswith("https://") for origin in self.cors_origins if origin != "*")),
        ]  # fmt: skip


def settings() -> Settings:
    """The settings of the current app."""
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
    found: Settings = app.config["SETTINGS"]
    return found


def load_settings() -> Settings:
    """Read the settings from the environment; in development also from `.env` in the current folder.

    Raises ConfigurationError, naming every fault at once: unreadable values, contradictions, unknown
    names, and in production everything unsafe.
    """
    env = Env(eager=False, prefix=PREFIX)
    names = set(os.environ)
    if env.str("ENV", "development") != "production":
        dotenv = Path.cwd() / ".env"
        env.read_env(str(dotenv), recurse=False)
        names |= set(dotenv_values(dotenv))
    values = {each.name: _read(env, each) for each in fields(Settings)}
    unreadable = _unreadable(env)
    # The contradictions and dangers of what could be read are told in the same breath.
    readable = {name: value for name, value in values.items() if PREFIX + name.upper() not in unreadable}
    loaded = Settings(**readable)
    faults = [*_unknown_names(names), *(f"{name}: {told}" for name, told in unreadable.items())]
    faults += [fault for fault in loaded.faults() if fault.partition(":")[0] not in unreadable]
    if faults:
        raise ConfigurationError("\n".join(faults))
    return loaded


def _unreadable(env: Env) -> dict[str, str]:
    try:
        env.seal()
    except EnvValidationError as error:
        return {name: " ".join(told) for name, told in cast(Mapping[str, list[str]], error.error_messages).items()}
    return {}


def _read(env: Env, each: Any) -> Any:
    readers: dict[Any, Callable[..., Any]] = {bool: env.bool, int: env.int, int | None: env.int, tuple[str, ...]: env.list}
    read = readers.get(each.type, env.str)
    checks = list(each.metadata["checks"])
    value = read(each.name.upper(), each.default, validate=checks or None)
    return tuple(item.strip() for item in value) if isinstance(value, list | tuple) else value


def _unknown_names(names: set[str]) -> list[str]:
    """A misspelt setting must not be silence: production would run with a default nobody chose."""
    known = {PREFIX + each.name.upper() for each in fields(Settings)}
    return [
        f"{name}: no such setting" + (f"; {REPLACED[name]}" if name in REPLACED else "")
        for name in sorted(names)
        if name.startswith(PREFIX) and name not in known and not name.startswith(f"{PREFIX}TEST_")
    ]
