"""A rate limit in Redis by one round trip.

Flask-Limiter counts a request, and asks once more how much room is left, for the headers. Here the first answer says both. The
scripts are those of the library `limits`, one after the other.
"""

import time
from typing import Any

from flask import g
from limits.storage import RedisStorage

PREFIX = "keycard+"


class OneTrip(RedisStorage):
    """`limits`' storage in Redis, for URLs that begin with `keycard+redis://`, `keycard+rediss://` or `keycard+unix://`."""

    STORAGE_SCHEME = [f"{PREFIX}{scheme}" for scheme in ("redis", "rediss", "unix")]  # noqa: RUF012 - the library's
    SCRIPT_ACQUIRE_MOVING_WINDOW = f"""
local function acquire(KEYS, ARGV)
{RedisStorage.SCRIPT_ACQUIRE_MOVING_WINDOW.decode()}
end
local function window(KEYS, ARGV)
{RedisStorage.SCRIPT_MOVING_WINDOW.decode()}
end
local acquired = acquire(KEYS, ARGV) and 1 or 0
return {{acquired, window(KEYS, {{ARGV[1] - ARGV[3], ARGV[2]}})}}
""".encode()

    def __init__(self, uri: str, **options: Any) -> None:
        super().__init__(uri.removeprefix(PREFIX), **options)

    def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        now = time.time()
        acquired, *window = self.lua_acquire_moving_window([self.prefixed_key(key)], [now, limit, expiry, amount])
        start, count = window[0] if window else (now, 0)
        _windows()[key] = float(start), count
        return bool(acquired)

    def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:
        return _windows().get(key) or super().get_moving_window(key, limit, expiry)


def _windows() -> dict[str, tuple[float, int]]:
    """What this request has been told: by key, when the window began and how many are in it."""
    if "windows" not in g:
        g.windows = {}
    found: dict[str, tuple[float, int]] = g.windows
    return found
