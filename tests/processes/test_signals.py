"""SIGTERM is heard whichever thread of a process the kernel gives it to."""

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


def run(prepare: str, seconds: float) -> int:
    return subprocess.run([sys.executable, "-c", WORKER.format(prepare=prepare)], timeout=seconds, check=False).returncode


def test_a_signal_for_another_thread_is_handled() -> None:
    assert run("wake_for_signals()", STOP_SECONDS) == 0


def test_without_that_the_main_thread_sleeps_on() -> None:
    """The fault that is mended, so that the test above cannot pass by itself."""
    with pytest.raises(subprocess.TimeoutExpired):
        run("", 3)
