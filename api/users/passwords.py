"""Hashes of passwords: argon2id, in a bounded number at once."""

import base64
import os
import sys
import threading
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from flask import Flask, current_app

from ..config import Argon2, Settings
from ..machine import cores
from ..observability import metrics
from ..problems import ServiceUnavailable
from . import foreign_hashes

# How long a sign-in waits for a free slot before it is turned away.
QUEUE_SECONDS = 5.0
# How many may wait where nobody says: each holds a thread that nothing else can use meanwhile.
QUEUE_LENGTH = 8
EXTENSION = "keycard.hasher"
T = TypeVar("T")


class _Places:
    """A number of places, and how many of them are taken. A semaphore does not tell."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._lock = threading.Lock()
        self.taken = 0

    @property
    def free(self) -> int:
        return self._number - self.taken

    def take(self) -> bool:
        """Take one if one is free."""
        with self._lock:
            found = self.free > 0
            self.taken += found
            return found

    def give_back(self) -> None:
        with self._lock:
            self.taken -= 1


class Hasher:
    """argon2id (RFC 9106). Each hash takes its memory and a core, so only some run at once."""

    def __init__(self, settings: Settings) -> None:
        self._argon2 = PasswordHasher(**settings.argon2._asdict())
        self._size = settings.argon2_concurrency or cores()
        queue = QUEUE_LENGTH if settings.argon2_queue is None else settings.argon2_queue
        self._places = _Places(self._size + queue)
        self._pool = ThreadPoolExecutor(self._size, "hash", initializer=_step_aside)
        # Verified when there is no such account, so that the answer takes the same time as for one. It is no hash of anything.
        self._nobody = _unmatchable(settings.argon2)

    @property
    def has_room(self) -> bool:
        """Whether one more hash could at least wait now."""
        return self._places.free > 0

    def expect_room(self) -> None:
        """Raise ServiceUnavailable if no hash could even wait now, before anything else is done for it."""
        if not self.has_room:
            raise self.too_many("queue_full")

    @staticmethod
    def too_many(reason: str) -> ServiceUnavailable:
        """Count somebody who is turned away, and return what to tell them."""
        metrics.count(metrics.HASHES_REFUSED, reason)
        return ServiceUnavailable("Too many sign-ins at once.", retry_after=2)

    def hash(self, password: str) -> str:
        """Return the encoded hash. Raises ServiceUnavailable when every slot stays busy."""
        return self._in_turn(lambda: self._argon2.hash(_normalised(password)))

    def verify(self, password: str, encoded: str | None) -> bool:
        """Say whether the password has this hash; without one, do the same work and say no.

        What was typed counts too, not only its normal form: another application, which has made the hash, may not have
        normalised. A foreign hash takes its own time, until the first sign-in has replaced it.
        Raises ServiceUnavailable when every slot stays busy.
        """
        spellings = dict.fromkeys((_normalised(password), password))
        right = self._in_turn(lambda: any(self._matches(each, encoded or self._nobody) for each in spellings))
        return right and encoded is not None

    def _matches(self, spelling: str, encoded: str) -> bool:
        if foreign_hashes.is_foreign(encoded):
            return foreign_hashes.verify(spelling, encoded)
        try:
            return self._argon2.verify(encoded, spelling)
        except (VerificationError, InvalidHashError):
            return False

    def is_outdated(self, encoded: str) -> bool:
        """Say whether the hash was made in another way, or with other parameters, than today's."""
        return foreign_hashes.is_foreign(encoded) or self._argon2.check_needs_rehash(encoded)

    def load(self) -> tuple[int, int]:
        """How many hashes are running now, and how many wait."""
        taken = self._places.taken
        return min(taken, self._size), max(0, taken - self._size)

    def _in_turn(self, work: Callable[[], T]) -> T:
        """Do it in one of the threads of the pool. The caller waits without a core, and without a place if there is none."""
        if not self._places.take():
            raise self.too_many("queue_full")
        try:
            waiting = self._pool.submit(work)
            try:
                return waiting.result(timeout=QUEUE_SECONDS)
            except TimeoutError:
                if waiting.cancel():  # it has not begun
                    raise self.too_many("waited_too_long") from None
                return waiting.result()
        finally:
            self._places.give_back()


def _step_aside() -> None:
    """Let whatever else the process does go first: a thread that hashes keeps a core for a tenth of a second."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)


def _unmatchable(argon2: Argon2) -> str:
    salt, digest = (base64.b64encode(os.urandom(length)).decode().rstrip("=") for length in (16, 32))
    return f"$argon2id$v=19$m={argon2.memory_cost},t={argon2.time_cost},p={argon2.parallelism}${salt}${digest}"


def _normalised(password: str) -> str:
    """One spelling for what looks the same: keyboards compose accents differently (RFC 8265, section 4.2)."""
    return unicodedata.normalize("NFC", password)


def init_app(app: Flask, settings: Settings) -> None:
    found = app.extensions[EXTENSION] = Hasher(settings)
    metrics.watch(app, metrics.Gauge("keycard_hashes_running", "Password hashes running now.", lambda: found.load()[0]))
    metrics.watch(app, metrics.Gauge("keycard_hashes_waiting", "Password hashes waiting.", lambda: found.load()[1]))


def hasher() -> Hasher:
    """The app's hasher. Never call it inside a transaction: a hash is slow and a connection is scarce."""
    found: Hasher = current_app.extensions[EXTENSION]
    return found
