"""The heartbeat of the revocation mirror. It runs in a process that answers no requests, and needs none.

Any number of processes may have one. Each looks every second, and compares if the last comparison is too old.
"""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from flask import Flask

from .revocation import EXTENSION, Mirror

LOOK_SECONDS = 1.0
INTERVAL_SECONDS = 10.0
# What is waited for at the end; an unfinished comparison is left to others.
END_SECONDS = 5.0

logger = logging.getLogger("keycard")


@contextmanager
def beating(app: Flask) -> Iterator[None]:
    """Keep the mirror of the app complete, in a thread of this process, while the block runs."""
    mirror: Mirror = app.extensions[EXTENSION]
    if not mirror.configured:
        yield
        return
    over = threading.Event()
    heart = threading.Thread(target=_beat, args=(app, mirror, over), name="mirror", daemon=True)
    heart.start()
    try:
        yield
    finally:
        over.set()
        heart.join(END_SECONDS)


def _beat(app: Flask, mirror: Mirror, over: threading.Event) -> None:
    while not over.is_set():
        try:
            with app.app_context():
                mirror.heal(INTERVAL_SECONDS)
        except Exception:  # the next one may go well, and without any the mirror is of no use
            logger.exception("unhandled error in the heartbeat of the revocation mirror")
        over.wait(LOOK_SECONDS)
