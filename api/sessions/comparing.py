"""Comparing the mirror with the database: what is missing is written, and then the mirror is called complete for a while.

So the next comparison mends whatever happened to Redis and whatever a process could not write; and a mirror is called complete
for LIFE_SECONDS at most after it was.
"""

import logging
import uuid
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import islice
from typing import Any

from sqlalchemy import func, select

from .. import clock
from ..database import db, fetch_all
from . import dead_tokens
from .dead_tokens import PREFIX, Dead

COMPLETE = PREFIX + "complete"
COMPARING = PREFIX + "comparing"
# How long a comparison counts, from its beginning.
LIFE_SECONDS = 30.0
LOOKS = 4
# Redis answers others between two batches.
BATCH = 1000
# A number read earlier may be written later: it never replaces a greater one.
PUT = """
if tonumber(redis.call('get', KEYS[1]) or '-1') <= tonumber(ARGV[1]) then
    redis.call('set', KEYS[1], ARGV[1], 'PX', ARGV[2])
end
"""
# A look ends where it has begun, by the clock of that Redis: one that has lost everything meanwhile is not called complete.
END = """
local left = redis.call('pttl', KEYS[1])
if redis.call('get', KEYS[1]) ~= ARGV[1] or left <= 0 then
    return 0
end
redis.call('set', KEYS[2], ARGV[2], 'PX', left)
return 1
"""

logger = logging.getLogger("keycard")


def age(store: Any) -> float:
    """Say how many seconds ago the comparison began for which the mirror is called complete; infinite if it is not."""
    left = store.pttl(COMPLETE) / 1000
    # One that lives longer is not of our making: it was restored, or is of release 1.
    return LIFE_SECONDS - left if 0 < left <= LIFE_SECONDS else float("inf")


def compare(store: Any) -> None:
    """Write what is missing, and call the mirror complete once nothing is. If another process is at it, leave it to that one.

    Should two compare at the same time, no harm is done.
    """
    name = uuid.uuid4().hex
    if _begin(store, name, nx=True):
        try:
            _compare(store, name)
        finally:
            store.delete(COMPARING)


def _begin(store: Any, name: str, *, nx: bool = False) -> bool:
    """Begin a look. Its key expires when the look counts no more."""
    return bool(store.set(COMPARING, name, nx=nx, px=int(LIFE_SECONDS * 1000)))


def put(store: Any, dead: Iterable[Dead], now: datetime) -> None:
    """Write what has not expired by now."""
    pipe = store.pipeline(transaction=False)
    for key, number, until in dead:
        left = milliseconds(now, until)
        if left > 0:
            pipe.eval(PUT, 1, key, number, left)
    pipe.execute()


def milliseconds(now: datetime, until: datetime) -> int:
    return int((until - now).total_seconds() * 1000)


def _compare(store: Any, name: str) -> None:
    # Looked at once more if something was missing: where there is no room, each key that is written drives another one out, and
    # such a mirror must not be called complete.
    for _ in range(LOOKS):
        _begin(store, name)
        now = _shared_now()
        missing = _fill(store, dead_tokens.at(now), now)
        if missing:
            logger.info("revocation mirror: %s keys were missing", missing)
        elif store.eval(END, 2, COMPARING, COMPLETE, name, now.isoformat()):
            return


def _fill(store: Any, dead: Iterator[Dead], now: datetime) -> int:
    """Write what is missing, and return how many keys that were.

    Those that are about to expire do not count: by another clock they have expired.
    """
    missing = 0
    while batch := list(islice(dead, BATCH)):
        found = store.mget([each.key for each in batch])
        lacking = [each for each, value in zip(batch, found, strict=True) if not _says(value, each.number)]
        put(store, lacking, now)
        missing += sum(milliseconds(now, each.until) > LIFE_SECONDS * 1000 for each in lacking)
    return missing


def _says(value: bytes | None, number: int) -> bool:
    return value is not None and value.isdigit() and int(value) >= number


def _shared_now() -> datetime:
    """The time by the one clock that all processes share: PostgreSQL's. With SQLite they share a machine."""
    if db.engine.dialect.name != "postgresql":
        return clock.now()
    ((now,),) = fetch_all(select(func.clock_timestamp()))
    found: datetime = now
    return found
