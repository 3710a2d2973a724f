"""SIGTERM is heard, whichever thread of a process the kernel gives it to, and from its first moment on."""

import os
import signal
import subprocess
import sys

import pytest

STOP_SECONDS = 20

# What a worker does: its main thread sleeps in a lock until a handler of Python's has run. The signal goes to another thread.
WORKER = """
import signal, threading
from api.signals import wake_for_signals

ended = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: ended.set())
{prepare}
busy = threading.Thread(target=threading.Event().wait, daemon=True)
busy.start()
threading.Timer(0.5, signal.pthread_kill, (busy.ident, signal.SIGTERM)).start()
ended.wait()
"""

# What `keycard serve` does when it is ended while it starts: the signal comes as early as it can, in the child's first moments.
FORKS = """
import multiprocessing, os, signal, time
from api.signals import spare_forks

signal.signal(signal.SIGTERM, lambda *_: None)
multiprocessing.set_start_method("fork")
{prepare}
for _ in range(50):
    child = multiprocessing.Process(target=time.sleep, args=(60,))  # which goes on after a handler that does nothing
    child.start()
    os.kill(child.pid, signal.SIGTERM)
    child.join()
    assert child.exitcode == -signal.SIGTERM, child.exitcode
"""


def run(prepare: str, seconds: float, script: str = WORKER) -> int:
    """Return how it ended. Raises TimeoutExpired if it does not; then it and what it has started is killed."""
    process = subprocess.Popen([sys.executable, "-c", script.format(prepare=prepare)], start_new_session=True)
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise


def test_a_signal_for_another_thread_is_handled() -> None:
    assert run("wake_for_signals()", STOP_SECONDS) == 0


def test_without_that_the_main_thread_sleeps_on() -> None:
    """The fault that is mended, so that the test above cannot pass by itself."""
    with pytest.raises(subprocess.TimeoutExpired):
        run("", 3)


def test_a_process_hears_its_first_signal() -> None:
    assert run("spare_forks()", STOP_SECONDS, FORKS) == 0


def test_without_that_the_handler_of_another_process_would_take_it() -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        run("", 3, FORKS)
