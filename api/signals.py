"""Signals are handled at once, whichever thread they are given to."""

import os
import signal
import threading


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
