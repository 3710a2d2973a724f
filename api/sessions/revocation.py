"""The revocation mirror in Redis, for other services. Keycard itself never asks it: the truth is the database.

Keys, each with a TTL of the longest remaining life of the tokens it speaks of:

- `keycard:revoked:sid:<sid>` exists: every access token of this session is dead.
- `keycard:revoked:gen:<sid>` holds a number: access tokens of this session with a smaller `gen` are dead.
- `keycard:revoked:sub:<sub>` holds a number: access tokens of this person with a smaller `epoch` are dead.
- `keycard:revoked:complete` exists: less than half a minute ago the mirror held every revocation. A reader that does not find it
  must not trust the absence of the other keys. Its value is the time of that moment, for people who look.

Redis may be away, come back empty or old, fail over, or evict; a process may end before it has written. So what was written once
is not trusted for long: a heartbeat (`heartbeat.py`) compares the mirror with the database (`comparing.py`) again and again, and
so does readiness where there is no heartbeat. docs/decisions/0028 says why.
"""

import logging
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

import redis
from flask import Flask, current_app
from sqlalchemy.exc import SQLAlchemyError

from .. import clock
from ..config import Settings
from ..observability.metrics import Gauge, watch
from . import comparing, dead_tokens
from .dead_tokens import Dead

EXTENSION = "keycard.mirror"
TIMEOUT_SECONDS = 0.25
# After a failure Redis is left alone for a moment, so that a dead one does not slow every sign-out down.
PAUSE_SECONDS = 2.0
# Where a heartbeat is, no comparison gets older.
NEGLECTED_SECONDS = 15.0

logger = logging.getLogger("keycard")


class Mirror:
    """Writes revocations to Redis; without one configured, does nothing."""

    def __init__(self, settings: Settings) -> None:
        self._paused_until = self._missed_at = float("-inf")
        self._away = False
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
        """Whether a revocation of this process could not be written, and nobody is known to have written it since."""
        return self._missed_at > float("-inf") and not self._try(lambda: self._is_complete(comparing.LIFE_SECONDS))

    def publish_ended(self, session_id: uuid.UUID, access_expires_at: datetime) -> None:
        """Mirror a session that is known to have ended."""
        # One command, without a script or a pipeline, because it is part of every sign-out.
        key, number, until = dead_tokens.of_ended(session_id, access_expires_at)
        left = max(1, comparing.milliseconds(clock.now(), until))
        self._write(lambda: self._redis.set(key, number, px=left))

    def publish_sessions(self, ids: Sequence[uuid.UUID]) -> None:
        """Mirror those of these sessions that have ended. What became of them is read again, because the answer to a COMMIT can
        be lost."""
        self._publish(lambda: dead_tokens.of_sessions(ids))

    def publish_epoch(self, user_id: uuid.UUID) -> None:
        """Mirror the epoch of a user whose older access tokens died."""
        self._publish(lambda: dead_tokens.of_user(user_id))

    def publish_generation(self, session_id: uuid.UUID) -> None:
        """Mirror the generation of a session whose older access tokens died."""
        self._publish(lambda: dead_tokens.before_renewal(session_id))

    def heal(self, older_than: float = NEGLECTED_SECONDS) -> bool:
        """Compare the mirror with the database if the last comparison is older than so many seconds, whichever process made it.

        Say whether it is complete now, so that other services can rely on it.
        """
        self._paused_until = float("-inf")
        return self._try(lambda: self._heal(older_than))

    def answers(self) -> bool:
        """Say whether Redis answers."""
        return self._try(lambda: self._redis.ping())  # noqa: PLW0108 - without Redis there is none to ask

    def _publish(self, read: Callable[[], Iterable[Dead]]) -> None:
        def write() -> bool:
            comparing.put(self._redis, read(), clock.now())
            return True

        self._write(write)

    def _write(self, write: Callable[[], Any]) -> None:
        if self.configured and (time.monotonic() < self._paused_until or not self._try(write)):
            self._missed_at = time.monotonic()

    def _try(self, ask: Callable[[], Any]) -> bool:
        """Say whether the answer is yes; where Redis, or the database, has none, it is no."""
        if not self.configured:
            return False
        try:
            answer = bool(ask())
        except (redis.RedisError, SQLAlchemyError) as error:
            # What was revoked is committed and holds here; an error now would only deny it.
            self._paused_until = time.monotonic() + PAUSE_SECONDS
            if not self._away:
                logger.warning("revocation mirror unavailable: %s", type(error).__name__)
            self._away = True
            return False
        self._away = False
        return answer

    def _heal(self, older_than: float) -> bool:
        if self._is_complete(older_than):
            return True
        comparing.compare(self._redis)
        return self._is_complete(comparing.LIFE_SECONDS)

    def _is_complete(self, within: float) -> bool:
        """Whether there was a comparison within so many seconds, and since this process could not write."""
        age = comparing.age(self._redis)
        return age <= within and age < time.monotonic() - self._missed_at


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
