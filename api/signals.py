"""Signals are handled at once, whichever thread they are given to, and by the process they are for."""

import os
import signal
import threading

ENDING = (signal.SIGTERM, signal.SIGINT)


def spare_forks() -> None:
    """See that a process forked from this one ends by SIGTERM and SIGINT until it has handlers of its own.

    It would inherit those of this one, which would find nothing to do there: a signal in the first moments would be lost.
    """
    os.register_at_fork(before=_hold, after_in_parent=_let_go, after_in_child=_begin)


def _hold() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)


def _let_go() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)


def _begin() -> None:
    signal.set_wakeup_fd(-1)
    for each in ENDING:
        signal.signal(each, signal.SIG_DFL)
    _let_go()


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
