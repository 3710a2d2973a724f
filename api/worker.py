"""What the processes of `keycard serve` do: answer, or deliver mail."""

import gc
import multiprocessing
import os
import signal
import sys
import threading
from multiprocessing.util import Finalize

from flask import Flask

from . import outbox
from .app import create_app
from .database import close_connections
from .health.listener import listening
from .sessions.heartbeat import beating
from .signals import hold, obey_first

# Each thread that waits for Python's lock wakes up after so long, to ask for it; a request is over sooner, or waits for the
# database. With the usual 5 ms sixteen threads wake each other 3,000 times a second.
SWITCH_SECONDS = 0.05


def create_worker() -> Flask:
    """The app, in a process of its own."""
    sys.setswitchinterval(SWITCH_SECONDS)
    hold()
    obey_first(teller=os.getppid())
    app = _create_app()
    gc.freeze()
    return app


def deliver_mail() -> None:
    """Deliver mail until SIGTERM, or until all others have gone. Ctrl-C is for the process that has started this one.

    Meanwhile listen on the port of the metrics, and keep the revocation mirror complete. All of it can wait a little, so this
    process gives way to requests.
    """
    os.nice(10)
    threading.Thread(target=_end_with_the_others, name="others", daemon=True).start()
    app = _create_app()
    with app.app_context(), listening(app), beating(app):
        outbox.run_worker(app.extensions["keycard.composers"], until={signal.SIGTERM})


def _create_app() -> Flask:
    """An app that closes its connections at the end. A process that was forked ends without Python's own end, and SQLite's
    newest pages would stay in a file beside the database."""
    app = create_app()
    Finalize(None, close_connections, (app,), exitpriority=0)
    return app


def _end_with_the_others() -> None:
    parent = multiprocessing.parent_process()
    if parent:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
