"""What each process of `keycard serve` loads, and how all of them hear of signals."""

import os
import signal
import sys
import threading

from flask import Flask

from .app import create_app

# Each thread that waits for Python's lock wakes up after so long, to ask for it; a request is over sooner, or waits for the
# database. With the usual 5 ms sixteen threads wake each other 3,000 times a second.
SWITCH_SECONDS = 0.05


def create_worker() -> Flask:
    """The app, in a process of its own."""
    sys.setswitchinterval(SWITCH_SECONDS)
    wake_for_signals()
    return create_app()


def wake_for_signals() -> None:
    """See that a signal is handled at once, whichever thread the kernel gives it to.

    Python's handlers run in the main thread, which sleeps in a lock while it serves. Given to another one, say one that hashes, a
    SIGTERM would wait there until the process is killed. SIGURG is nothing but a way to wake the main thread: it is ignored
    where nobody handles it. Call it in the main thread.
    """
    told, tell = os.pipe()
    os.set_blocking(tell, False)
    signal.signal(signal.SIGURG, lambda *_: None)
    signal.set_wakeup_fd(tell, warn_on_full_buffer=False)
    threading.Thread(target=_wake, args=(told,), name="signals", daemon=True).start()


def _wake(told: int) -> None:
    while number := os.read(told, 1):
        if number[0] != signal.SIGURG:
            signal.pthread_kill(threading.main_thread().ident, signal.SIGURG)  # type: ignore[arg-type]
