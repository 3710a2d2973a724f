"""Signals that end a process: heard in whichever thread, obeyed once, and by the process they are for."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Set

ENDING = frozenset((signal.SIGTERM, signal.SIGINT))
# How long the process that has started this one may take to pass on a signal.
PATIENCE_SECONDS = 1.0
_before_fork = threading.local()


def spare_forks() -> None:
    """See that SIGTERM and SIGINT end a process forked from this one until it has handlers, or wait in it if they are held here.

    It would inherit the handlers of this one, which would find nothing to do there: a signal in the first moments would be lost.
    """
    os.register_at_fork(before=_block, after_in_parent=_restore, after_in_child=_begin)


def _block() -> None:
    _before_fork.mask = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)


def _restore() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, _before_fork.mask)


def _begin() -> None:
    for each in ENDING:
        signal.signal(each, signal.SIG_DFL)
    _restore()


def hold() -> None:
    """Let signals that end this process wait for `obey_first` or `first_of`.

    Threads and processes that are started inherit it: call it before there are others.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)


def obey_first(*, teller: int | None = None, first: Callable[[], None] = lambda: None) -> None:
    """Give the first signal that ends this process to its handler, in a thread. Those after it wait for ever, and harm nobody.

    teller: the process that has started this one and passes on what is meant for all. Ctrl-C, or a signal to a control group,
    reaches both, and who ends before being told to looks like a crash. So a signal from elsewhere is obeyed a second later.
    first: called before the handler.

    Granian's handlers do not bear to be called while they run. Python calls a handler in the main thread, wherever that is, and
    so also in the midst of the call before: in the first process it waits for a lock that it holds, in one that answers
    for room in a channel that nobody reads any more. Nor does Python call any while the main thread sleeps and the kernel gives
    the signal to another one.
    """
    threading.Thread(target=_obey_first, args=(teller, first), name="signals", daemon=True).start()


def _obey_first(teller: int | None, first: Callable[[], None]) -> None:
    number = signal.sigwait(ENDING) if teller is None or sys.platform == "darwin" else _told_by(teller)
    first()
    handler = signal.getsignal(number)
    if callable(handler) and handler is not signal.default_int_handler:
        handler(number, None)
    else:  # nobody serves yet
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
        os.kill(os.getpid(), number)


def _told_by(teller: int) -> int:
    told = signal.sigwaitinfo(ENDING)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while told.si_pid != teller and (left := deadline - time.monotonic()) > 0:
        told = signal.sigtimedwait(ENDING, left) or told
    return told.si_signo


def first_of(awaited: Set[signal.Signals]) -> Callable[[], None]:
    """Take SIGTERM and SIGINT from now on, and return what sleeps until the first one that is awaited; another one is ignored.

    Any thread may be given it, and wakes the main thread by writing to the pipe that this reads. Call both in the main thread.
    """
    told, tell = os.pipe()
    os.set_blocking(tell, False)
    signal.set_wakeup_fd(tell, warn_on_full_buffer=False)
    for each in ENDING:
        signal.signal(each, (lambda *_: None) if each in awaited else signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)

    def wait() -> None:
        while os.read(told, 1)[0] not in awaited:
            pass

    return wait
