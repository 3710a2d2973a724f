"""Who is measured: how each server is started, and what each operation is called there."""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .load import Request

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
PASSWORD = "Correct-Horse-7"
# argon2id as "passes,KiB,lanes": the least there is, and what Keycard and argon2-cffi take by default (RFC 9106).
CHEAP, REAL = "1,8,1", "3,65536,4"
JSON = {"Content-Type": "application/json"}
BEARER = {"Authorization": "Bearer VALUE"}
OURS = "keycard"
OPERATIONS = ("get_me", "bad_token", "login", "login_real", "refresh", "register", "logout")


@dataclass(frozen=True)
class Start:
    """What a target needs to be told when it starts. database: its URL without the driver."""

    port: int
    threads: int
    database: str
    redis_url: str
    argon2: str
    folder: Path
    python: Path


Command = Callable[[Start], list[str | Path]]


@dataclass(frozen=True)
class Target:
    """A server to measure.

    requests: by name, of which those named in OPERATIONS can be measured. only: those of them that are; all when empty.
    tokens: what finds them in the answer to a login, each a Lua pattern that is a regular expression, too. requirements: OURS for
    Keycard without extras, else the folder in `baselines` that holds what it needs installed. prepare: to run once, on the empty
    database.
    """

    name: str
    command: Command
    environment: Callable[[Start], dict[str, str]]
    requests: Mapping[str, Request]
    only: frozenset[str] = frozenset()
    tokens: Mapping[str, str] = field(default_factory=dict)
    requirements: str = OURS
    prepare: Command | None = None

    def can(self, operation: str) -> bool:
        if operation == "login_real":
            return self.name in {"keycard", "tutorial", "fastapi-users"}
        return operation in self.requests and (not self.only or operation in self.only)


def _body(**members: Any) -> str:
    return json.dumps(members)


def _granian(app: str, *options: str) -> Command:
    """The same WSGI server as `keycard serve`."""

    def command(start: Start) -> list[str | Path]:
        threads = str(start.threads)
        given = ["--interface", "wsgi", "--port", str(start.port), "--workers", "1", "--blocking-threads", threads, "--no-ws"]
        return [start.python.parent / "granian", *given, *options, app]

    return command


def _plain(start: Start) -> dict[str, str]:
    """Settings that every target of ours reads."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(start.folder),
        "PYTHONPATH": str(ROOT),
        "PYTHONDONTWRITEBYTECODE": "1",
        "ARGON2": start.argon2,
        "REDIS_URL": start.redis_url,
        "DATABASE_URL": f"postgresql+psycopg:{start.database}",
    }


def keycard_environment(start: Start) -> dict[str, str]:
    """Development, with the log lines of production and no rate limits; everything else is as it is by default."""
    passes, kib, lanes = start.argon2.split(",")
    # A hash that costs nothing needs no queue, whose end would be a refusal; real ones run as they do by default.
    slots = {"KEYCARD_ARGON2_CONCURRENCY": "32"} if start.argon2 == CHEAP else {}
    return {
        **slots,
        "PATH": os.environ["PATH"],
        "HOME": str(start.folder),
        "KEYCARD_INSTANCE_PATH": str(start.folder),
        "KEYCARD_DATABASE_URL": f"postgresql:{start.database}",
        "KEYCARD_REDIS_URL": start.redis_url,
        "KEYCARD_RATELIMIT_ENABLED": "false",
        "KEYCARD_LOG_FORMAT": "json",
        "KEYCARD_ARGON2_TIME_COST": passes,
        "KEYCARD_ARGON2_MEMORY_COST": kib,
        "KEYCARD_ARGON2_PARALLELISM": lanes,
    }


def keycard_command(start: Start) -> list[str | Path]:
    return [
        start.python.parent / "keycard",
        "serve",
        "--port",
        str(start.port),
        "--workers",
        "1",
    ]


NAMED = _body(username="VALUE", password=PASSWORD)
ADDRESSED = _body(email="VALUE@example.com", password=PASSWORD)
AS_JSON = {"access": r'"access_token": ?"([^"]+)"', "refresh": r'"refresh_token": ?"([^"]+)"'}

KEYCARD = Target(
    "keycard",
    keycard_command,
    keycard_environment,
    {
        "get_me": Request("GET", "/v1/users/me", "access", BEARER),
        "bad_token": Request("GET", "/v1/users/me", "bad", BEARER, status=401),
        "login": Request("POST", "/v1/auth/login", "names", JSON, NAMED),
        "refresh": Request("POST", "/v1/auth/refresh", "refresh", BEARER, mode="queue", take=AS_JSON["refresh"]),
        "register": Request("POST", "/v1/auth/register", "new", JSON, NAMED, mode="unique", status=201),
        "logout": Request("DELETE", "/v1/auth/logout", "access", BEARER, mode="once", status=204),
    },
    tokens=AS_JSON,
)
BARE = Target(
    "bare Flask",
    _granian("tests.benchmarks.baselines.bare_flask:app"),
    _plain,
    {"get_me": Request("GET", "/me", "names")},
)
TUTORIAL = Target(
    "tutorial",
    _granian("tests.benchmarks.baselines.tutorial:create_app", "--factory"),
    _plain,
    {
        "get_me": Request("GET", "/me", "access", BEARER),
        "bad_token": Request("GET", "/me", "bad", BEARER, status=422),
        "login": Request("POST", "/login", "names", JSON, NAMED),
        "refresh": Request("POST", "/refresh", "refresh", BEARER),
        "register": Request("POST", "/register", "new", JSON, NAMED, mode="unique", status=201),
        "logout": Request("DELETE", "/logout", "access", BEARER, mode="once"),
    },
    tokens=AS_JSON,
)
TUTORIAL_ROTATING = Target(
    "tutorial, rotating",
    TUTORIAL.command,
    _plain,
    {
        "login": TUTORIAL.requests["login"],
        "register": TUTORIAL.requests["register"],
        "refresh": Request("POST", "/refresh-once", "refresh", BEARER, mode="queue", take=AS_JSON["refresh"]),
    },
    only=frozenset({"refresh"}),
    tokens=AS_JSON,
)


def _uvicorn(start: Start) -> list[str | Path]:
    app = ["--app-dir", HERE / "baselines" / "fastapi_users", "quickstart:app"]
    return [start.python, "-m", "uvicorn", "--port", str(start.port), "--no-access-log", *app]


FASTAPI_USERS = Target(
    "fastapi-users",
    _uvicorn,
    lambda start: {**_plain(start), "DATABASE_URL": f"postgresql+asyncpg:{start.database}"},
    {
        "get_me": Request("GET", "/users/me", "access", BEARER),
        "bad_token": Request("GET", "/users/me", "bad", BEARER, status=401),
        "login": Request(
            "POST", "/auth/jwt/login", "names", {"Content-Type": "application/x-www-form-urlencoded"},
            f"username=VALUE%40example.com&password={PASSWORD}",
        ),
        "register": Request("POST", "/auth/register", "new", JSON, ADDRESSED, mode="unique", status=201),
    },
    tokens=AS_JSON,
    requirements="fastapi_users",
)  # fmt: skip


def _django(start: Start) -> dict[str, str]:
    plain = _plain(start)
    return {**plain, "PYTHONPATH": str(HERE / "baselines" / "django_apps")}


def _manage(module: str) -> Callable[[Start], dict[str, str]]:
    return lambda start: {**_django(start), "DJANGO_SETTINGS_MODULE": module}


def _migrate(start: Start) -> list[str | Path]:
    return [start.python, "-m", "django", "migrate"]


DJOSER = Target(
    "djoser",
    _granian("wsgi:application"),
    _manage("djoser_settings"),
    {
        "login": Request("POST", "/auth/jwt/create/", "names", JSON, NAMED),
        "register": Request("POST", "/auth/users/", "new", JSON, NAMED, mode="unique", status=201),
        "refresh": Request(
            "POST", "/auth/jwt/refresh/", "refresh", JSON, _body(refresh="VALUE"), mode="queue", take=r'"refresh": ?"([^"]+)"'
        ),
        "logout": Request("POST", "/auth/jwt/blacklist/", "refresh", JSON, _body(refresh="VALUE"), mode="once"),
    },
    only=frozenset({"refresh", "logout"}),
    tokens={"access": r'"access": ?"([^"]+)"', "refresh": r'"refresh": ?"([^"]+)"'},
    requirements="django_apps",
    prepare=_migrate,
)
APP = "/_allauth/app/v1"
ALLAUTH = Target(
    "allauth",
    _granian("wsgi:application"),
    _manage("allauth_settings"),
    {
        "login": Request("POST", f"{APP}/auth/login", "names", JSON, NAMED),
        "register": Request("POST", f"{APP}/auth/signup", "new", JSON, NAMED, mode="unique"),
        "refresh": Request(
            "POST", f"{APP}/tokens/refresh", "refresh", JSON, _body(refresh_token="VALUE"), mode="queue", take=AS_JSON["refresh"]
        ),
        # The answer to a logout is that of "who am I": nobody.
        "logout": Request("DELETE", f"{APP}/auth/session", "session", {"X-Session-Token": "VALUE"}, mode="once", status=401),
    },
    only=frozenset({"refresh", "logout"}),
    tokens={**AS_JSON, "session": r'"session_token": ?"([^"]+)"'},
    requirements="django_apps",
    prepare=_migrate,
)
TARGETS = (KEYCARD, BARE, TUTORIAL, TUTORIAL_ROTATING, FASTAPI_USERS, DJOSER, ALLAUTH)
