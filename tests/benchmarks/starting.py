"""From the start of the process to the first 200, on a database that is migrated and has keys."""

import http.client
import statistics
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from .processes import Process, free_port
from .servers import SERVER_CORE, House
from .targets import KEYCARD, Start, keycard_command, keycard_environment

PATHS = ("/health/live", "/health/ready")
# What production insists on; nothing of it is contacted at start.
PRODUCTION = {
    "KEYCARD_ENV": "production",
    "KEYCARD_PUBLIC_URL": "https://auth.example.com",
    "KEYCARD_SMTP_URL": "smtps://user:password@127.0.0.1:1",
    "KEYCARD_MAIL_FROM": "Keycard <keycard@example.com>",
    "KEYCARD_RATELIMIT_ENABLED": "true",
    "KEYCARD_ARGON2_TIME_COST": "3",
    "KEYCARD_ARGON2_MEMORY_COST": "65536",
    "KEYCARD_ARGON2_PARALLELISM": "4",
}


def measure(house: House, argon2: str, times: int) -> dict[str, Any]:
    """Seconds to each path, in development and in production; medians of several starts after one that does not count."""
    start = house.new_start(KEYCARD, argon2)
    development = keycard_environment(start)
    found: dict[str, Any] = {}
    for name, environment in (("development", development), ("production", {**development, **PRODUCTION})):
        runs = [_start(replace(start, port=free_port()), environment) for _ in range(times + 1)][1:]
        found[name] = {path: round(statistics.median(run[path] for run in runs), 3) for path in PATHS}
        found[name]["slowest"] = round(max(max(run.values()) for run in runs), 3)
    return {"starts": times, **found}


def _start(start: Start, environment: Mapping[str, str]) -> dict[str, float]:
    began = time.perf_counter()
    process = Process(keycard_command(start), SERVER_CORE, start.folder / "log", environment, start.folder)
    try:
        seconds: dict[str, float] = {}
        for path in PATHS:
            process.wait_for(lambda path=path: _status(start.port, path) == 200)  # type: ignore[misc]
            seconds[path] = time.perf_counter() - began
        return seconds
    finally:
        process.stop()


def _status(port: int, path: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except OSError:
        return 0
    finally:
        connection.close()
