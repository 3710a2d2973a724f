"""The revocation mirror in Redis, for other services. Keycard itself never asks it: the truth is the database.

Keys, all with a TTL of the longest remaining life of the tokens they speak of:

- `keycard:revoked:sid:<sid>` exists: every access token of this session is dead.
- `keycard:revoked:sub:<sub>` holds a number: access tokens of this person with a smaller `epoch` are dead.
- `keycard:revoked:complete` exists (without TTL): the mirror holds every revocation. A reader that does not find it must
  not trust the absence of the other keys.

Redis may be away or come back empty. A revocation that could not be written, or a missing `complete`, leads to a rebuild
from the database: at the next revocation, at the next readiness check, and at start.
"""

import logging
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

import redis
from flask import Flask, current_app
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from .. import clock
from ..config import Settings
from ..database import fetch_all
from ..observability.metrics import Gauge, watch
from ..users import User
from .models import Session

EXTENSION = "keycard.mirror"
PREFIX = "keycard:revoked:"
# An epoch read earlier may be written later: a number never replaces a greater one.
PUT = """
if tonumber(redis.call('get', KEYS[1]) or '-1') <= tonumber(ARGV[1]) then
    redis.call('set', KEYS[1], ARGV[1], 'PX', ARGV[2])
end
"""
COMPLETE = PREFIX + "complete"
END = """
redis.call('set', KEYS[1], 1, 'PX', ARGV[1])
return redis.call('exists', KEYS[2])
"""
# A rebuild is written in batches, between which Redis answers others. Where its first key is still there, nothing was lost.
FINISH = """
if redis.call('del', KEYS[1]) == 1 then
    redis.call('set', KEYS[2], 1)
    return 1
end
return 0
"""
BATCH = 1000
MARK_SECONDS = 600
TIMEOUT_SECONDS = 0.25
# After a failure Redis is left alone for a moment, so that a dead one does not slow every sign-out down.
PAUSE_SECONDS = 2.0

logger = logging.getLogger("keycard")


class Mirror:
    """Writes revocations to Redis; without one configured, does nothing."""

    def __init__(self, settings: Settings) -> None:
        self._access_lifetime = timedelta(seconds=settings.access_token_lifetime)
        self._stale = True
        self._paused_until = float("-inf")
        self._redis: Any = None
        if settings.redis_url:
            self._redis = redis.Redis.from_url(
                settings.redis_url, socket_timeout=TIMEOUT_SECONDS, socket_connect_timeout=TIMEOUT_SECONDS
            )

    @property
    def configured(self) -> bool:
        return self._redis is not None

    @property
    def behind(self) -> bool:
        """Whether a revocation of this process could not be written, and still is not."""
        return self._stale and self._paused_until > float("-inf")

    def publish_ended(self, session_id: uuid.UUID, access_expires_at: datetime) -> None:
        """Mirror a session that is known to have ended."""
        # One command, which takes half of the CPU that a pipeline of two would.
        left = max(1, _milliseconds_left(access_expires_at))
        self._try(lambda: self._redis.eval(END, 2, f"{PREFIX}sid:{session_id}", COMPLETE, left))

    def publish_sessions(self, ids: Sequence[uuid.UUID]) -> None:
        """Mirror those of these sessions that have ended. What became of them is read again, because the answer to a COMMIT can
        be lost."""
        these = select(Session.id, Session.access_expires_at).where(Session.id.in_(ids), Session.ended_at.is_not(None))
        self._write(lambda pipe: self._put_sessions(pipe, fetch_all(these)))

    def publish_epoch(self, user_id: uuid.UUID) -> None:
        """Mirror the epoch of a user whose older access tokens died."""
        this_user = select(User.id, User.epoch, User.epoch_changed_at).where(User.id == user_id)
        self._write(lambda pipe: self._put_users(pipe, fetch_all(this_user)))

    def heal(self) -> bool:
        """Rebuild the mirror if it is incomplete; say whether Redis answers."""
        if not self.configured:
            return False
        self._paused_until = float("-inf")
        return self._write(lambda _: None)

    def answers(self) -> bool:
        """Say whether Redis answers."""
        try:
            return bool(self._redis.ping())
        except redis.RedisError:
            return False

    def _write(self, put: Callable[[Any], None]) -> bool:
        def write() -> bool:
            pipe = self._redis.pipeline(transaction=False)
            put(pipe)
            pipe.exists(COMPLETE)  # last: a Redis that is emptied in between is noticed
            return bool(pipe.execute()[-1])

        return self._try(write)

    def _try(self, write: Callable[[], object]) -> bool:
        """write: returns whether the mirror is complete, as it was after writing."""
        if not self.configured or time.monotonic() < self._paused_until:
            self._stale = True
            return False
        try:
            if not write() or self._stale:
                self._rebuild()
        except (redis.RedisError, SQLAlchemyError) as error:
            # What was revoked is committed and holds here; an error now would only deny it.
            self._stale = True
            self._paused_until = time.monotonic() + PAUSE_SECONDS
            logger.warning("revocation mirror unavailable: %s", type(error).__name__)
            return False
        return True

    def _rebuild(self) -> None:
        self._stale = False
        now = clock.now()
        columns = (Session.id, Session.access_expires_at)
        sessions = fetch_all(select(*columns).where(Session.ended_at.is_not(None), Session.access_expires_at > now))
        recent = User.epoch_changed_at > now - self._access_lifetime
        users = fetch_all(select(User.id, User.epoch, User.epoch_changed_at).where(recent))
        mark = f"{PREFIX}building:{uuid.uuid4()}"
        self._redis.set(mark, 1, ex=MARK_SECONDS)
        for put, rows in ((self._put_sessions, sessions), (self._put_users, users)):
            for start in range(0, len(rows), BATCH):
                pipe = self._redis.pipeline(transaction=False)
                put(pipe, rows[start : start + BATCH])
                pipe.execute()
        if not self._redis.eval(FINISH, 2, mark, COMPLETE):
            raise redis.RedisError("emptied while it was rebuilt")
        logger.info("revocation mirror rebuilt: %s sessions, %s users", len(sessions), len(users))

    def _put_sessions(self, pipe: Any, sessions: Iterable[Any]) -> None:
        for session_id, access_expires_at in sessions:
            left = _milliseconds_left(access_expires_at)
            if left > 0:
                pipe.set(f"{PREFIX}sid:{session_id}", 1, px=left)

    def _put_users(self, pipe: Any, users: Iterable[Any]) -> None:
        for user_id, epoch, changed_at in users:
            left = _milliseconds_left(changed_at + self._access_lifetime) if changed_at else 0
            if left > 0:
                pipe.eval(PUT, 1, f"{PREFIX}sub:{user_id}", epoch, left)


def _milliseconds_left(until: datetime) -> int:
    return int((until - clock.now()).total_seconds() * 1000)


def init_app(app: Flask, settings: Settings) -> None:
    found = app.extensions[EXTENSION] = Mirror(settings)
    if found.configured:
        watch(app, Gauge("keycard_revocation_mirror_up", "1 while Redis answers.", found.answers, across="same"))
        told = "1 while revocations of a process wait for Redis to come back."
        watch(app, Gauge("keycard_revocation_mirror_behind", told, lambda: found.behind, across="livemax"))


def mirror() -> Mirror:
    """The app's mirror."""
    found: Mirror = current_app.extensions[EXTENSION]
    return found
