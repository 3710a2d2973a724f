"""The worker: a scheduler that looks every second for mail that is due.

The table is the queue, so all that is missing is a trigger. A task queue would be a second truth beside it, and a crash could
leave the two in disagreement.
"""

import logging
import signal
import threading
from collections.abc import Iterator, Mapping, Set
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC

from flask import Flask, current_app
from sqlalchemy.exc import DBAPIError

from ..signals import first_of
from .delivery import deliver_due
from .message import Composer

logger = logging.getLogger("keycard")
INTERVAL_SECONDS = 1


@contextmanager
def worker(composers: Mapping[str, Composer]) -> Iterator[None]:
    """Deliver the mail of the current app in a thread of this process while the block runs.

    At its end the mail that is being sent is waited for; others wait for the next worker.
    """
    from apscheduler.schedulers.background import BackgroundScheduler  # only one process needs it

    rounds = _Rounds(current_app._get_current_object(), composers)  # type: ignore[attr-defined]
    # It warns each second while a round takes longer than that; what can go wrong in a round, the round itself tells.
    logging.getLogger("apscheduler").setLevel(logging.ERROR)
    scheduler = BackgroundScheduler(timezone=UTC)
    scheduler.add_job(rounds, "interval", seconds=INTERVAL_SECONDS, max_instances=1, coalesce=True, misfire_grace_time=None)
    scheduler.start()
    try:
        yield
    finally:
        rounds.stopping.set()
        scheduler.shutdown(wait=True)


def run_worker(composers: Mapping[str, Composer], *, until: Set[signal.Signals]) -> None:
    """Deliver the mail of the current app until one of these signals: SIGTERM, SIGINT, or both; another one is ignored.

    Only in the main thread.
    """
    wait = first_of(until)
    with worker(composers):
        wait()


@dataclass
class _Rounds:
    """One round after the other; that the database is away is told once, and once that it is back."""

    app: Flask
    composers: Mapping[str, Composer]
    stopping: threading.Event = field(default_factory=threading.Event)
    away: bool = False

    def __call__(self) -> None:
        try:
            with self.app.app_context():
                deliver_due(self.composers, go_on=lambda: not self.stopping.is_set())
        except Exception as error:
            if not self.away:
                kind = type(error.orig if isinstance(error, DBAPIError) and error.orig else error).__name__
                logger.error("mail waits, because the outbox cannot be read: %s", kind)
            self.away = True
        else:
            if self.away:
                logger.warning("mail is delivered again")
            self.away = False
