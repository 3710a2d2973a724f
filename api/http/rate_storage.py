"""Where rate limits are counted when Redis is configured: there, by one round trip each, or in memory while it is away.

A custom storage of the library `limits`, for its moving window. Flask-Limiter finds it by the scheme of its URL.
"""

import logging
import time
from typing import Any

import redis
from flask import g, has_app_context
from limits.storage import MemoryStorage, RedisStorage

SCHEME = "keycard"
TIMEOUT_SECONDS = 0.25
PAUSE_SECONDS = 2.0  # for which Redis is left alone after it did not answer
# KEYS: the moments that count, newest first. ARGV: now, the limit, the window in seconds, how many to add (0: only look).
# Answers whether there was room, how many count, and the oldest of them.
COUNT = b"""
local now, limit, window, amount = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local oldest = redis.call('LINDEX', KEYS[1], -1)
while oldest and tonumber(oldest) < now - window do
  redis.call('RPOP', KEYS[1])
  oldest = redis.call('LINDEX', KEYS[1], -1)
end
local room = redis.call('LLEN', KEYS[1]) + amount <= limit
if room and amount > 0 then
  for _ = 1, amount do redis.call('LPUSH', KEYS[1], ARGV[1]) end
  redis.call('EXPIRE', KEYS[1], window)
end
return {room and 1 or 0, redis.call('LLEN', KEYS[1]), redis.call('LINDEX', KEYS[1], -1) or ARGV[1]}
"""
Window = tuple[float, int]  # the moment of the oldest entry, in seconds of the epoch, and how many there are

_log = logging.getLogger(__name__)


class RedisOrMemory(RedisStorage):
    """Counts in Redis. While Redis is away each process counts for itself, and allows half of each amount.

    uri: `keycard+` and what redis-py accepts, such as `keycard+redis://127.0.0.1:6379/0` or `keycard+unix:///run/redis.sock`.
    """

    STORAGE_SCHEME = [f"{SCHEME}+{scheme}" for scheme in ("redis", "rediss", "unix")]  # noqa: RUF012 - the library's

    def __init__(self, uri: str, **options: Any) -> None:
        super().__init__(
            uri.removeprefix(f"{SCHEME}+"), socket_timeout=TIMEOUT_SECONDS, socket_connect_timeout=TIMEOUT_SECONDS, **options
        )
        self.script = self.get_connection().register_script(COUNT)
        self.memory = MemoryStorage()
        self.away_until: float | None = None  # None: Redis answered the last time

    @property
    def in_memory(self) -> bool:
        """Whether Redis did not answer the last time."""
        return self.away_until is not None

    def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Count, if there is room. Redis's answer says how much room is left; this request need not ask again."""
        answer = self._ask(key, limit, expiry, amount)
        if answer is None:
            return self.memory.acquire_entry(key, _half(limit), expiry, amount)
        room, window = answer
        _remembered()[key] = window
        return room

    def get_moving_window(self, key: str, limit: int, expiry: int) -> Window:
        """What counts now. In memory the half that nobody may use counts as used."""
        known = _remembered().get(key)
        if known is not None:
            return known
        answer = self._ask(key, limit, expiry, 0)
        if answer is None:
            began, entries = self.memory.get_moving_window(key, _half(limit), expiry)
            return began, entries + limit - _half(limit)
        return answer[1]

    def _ask(self, key: str, limit: int, expiry: int, amount: int) -> tuple[bool, Window] | None:
        """Whether there was room, and the window after that; None when Redis is away."""
        if self.away_until is not None and time.monotonic() < self.away_until:
            return None
        try:
            room, entries, oldest = self.script(keys=[self.prefixed_key(key)], args=[time.time(), limit, expiry, amount])
        except redis.RedisError as error:
            if self.away_until is None:
                _log.warning("Redis is away; rate limits count in memory and allow half: %s", error)
            self.away_until = time.monotonic() + PAUSE_SECONDS
            return None
        if self.away_until is not None:
            _log.info("Redis is back; rate limits count there again")
            self.away_until = None
        return bool(room), (float(oldest), entries)


def _half(limit: int) -> int:
    return max(1, limit // 2)


def _remembered() -> dict[str, Window]:
    """What this request has been told, by key."""
    if not has_app_context():
        return {}
    if "rate_windows" not in g:
        g.rate_windows = {}
    found: dict[str, Window] = g.rate_windows
    return found
