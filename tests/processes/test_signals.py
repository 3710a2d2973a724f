"""SIGTERM and Ctrl-C are heard, whichever thread of a process the kernel gives them to, from its first moment on, and once."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Stores
from tests.processes.servers import START_SECONDS, STOP_SECONDS, Server, eventually

# What delivers mail: the main thread sleeps until a signal comes. The kernel gives it to another one.
SLEEPER = """
import signal, threading
from api.signals import first_of

ended = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: ended.set())
wait = {wait}
busy = threading.Thread(target=threading.Event().wait, daemon=True)
busy.start()
threading.Timer(0.5, signal.pthread_kill, (busy.ident, signal.SIGTERM)).start()
wait()
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

# A handler like Granian's, which cannot be called while it runs, and takes its time, so that the next signal finds it.
IMPATIENCE = """
import os, signal, threading, time
from api.signals import hold, obey_first

lock, ended, called = threading.Lock(), threading.Event(), []

def handler(*_):
    with lock:
        called.append(1)
        time.sleep(0.5)
    ended.set()

{hold}
for each in (signal.SIGTERM, signal.SIGINT):
    signal.signal(each, handler)
{obey_first}
for number in range(30):
    told = (signal.SIGTERM, signal.SIGINT)[number % 2]
    threading.Timer(0.1 + number / 50, os.kill, (os.getpid(), told)).start()
ended.wait()
time.sleep(0.7)
assert called == [1], called
"""

# A process that answers is sent a signal that its parent knows of, too, and then the parent's.
PATIENCE = """
import os, signal, threading
from api import signals

signals.PATIENCE_SECONDS = 60
ended = threading.Event()
signals.hold()
signal.signal(signal.SIGTERM, lambda *_: ended.set())
signals.obey_first(teller=os.getppid())
os.kill(os.getpid(), signal.SIGTERM)
assert not ended.wait(1)
print("patient", flush=True)
ended.wait()
"""

# The first process of `keycard serve` forks while signals wait in it.
FORK_WHILE_HELD = """
import multiprocessing, signal
from api.signals import ENDING, hold, spare_forks

multiprocessing.set_start_method("fork")
spare_forks()
hold()
child = multiprocessing.Process(target=int)
child.start()
child.join()
assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) >= ENDING
"""


def run(script: str, seconds: float = STOP_SECONDS) -> int:
    """Return how it ended. Raises TimeoutExpired if it does not; then it and what it has started is killed."""
    process = subprocess.Popen([sys.executable, "-c", script], start_new_session=True)
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise


def test_a_signal_for_another_thread_is_heard() -> None:
    assert run(SLEEPER.format(wait="first_of({signal.SIGTERM})")) == 0


def test_without_that_the_main_thread_sleeps_on() -> None:
    """The fault that is mended, so that the test above cannot pass by itself."""
    with pytest.raises(subprocess.TimeoutExpired):
        run(SLEEPER.format(wait="ended.wait"), 3)


def test_a_process_hears_its_first_signal() -> None:
    assert run(FORKS.format(prepare="spare_forks()")) == 0


def test_without_that_the_handler_of_another_process_would_take_it() -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        run(FORKS.format(prepare=""), 3)


def test_a_handler_is_called_once_and_not_while_it_runs() -> None:
    assert run(IMPATIENCE.format(hold="hold()", obey_first="obey_first()")) == 0


def test_without_that_it_waits_for_itself() -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        run(IMPATIENCE.format(hold="", obey_first=""), 5)


def test_a_signal_to_all_is_left_to_the_one_that_passes_it_on() -> None:
    with subprocess.Popen([sys.executable, "-c", PATIENCE], stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"patient\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(STOP_SECONDS) == 0


def test_a_fork_does_not_let_go_what_is_held() -> None:
    assert run(FORK_WHILE_HELD) == 0


@pytest.mark.parametrize("send", [os.kill, os.killpg], ids=["the first process", "all processes"])
@pytest.mark.parametrize("told", [(signal.SIGTERM,), (signal.SIGINT,), (signal.SIGTERM, signal.SIGINT)], ids=str)
def test_impatience_changes_nothing(
    send: Callable[[int, int], None], told: tuple[signal.Signals, ...], tmp_path: Path, start: Callable[..., Server]
) -> None:
    """Thirty signals within 20 ms, and as many until the end, end a server as one does; docs/decisions/0027 has figures."""
    server = start(Stores("sqlite", f"sqlite:///{tmp_path}/keycard.sqlite3", None), "--workers", "2").wait()
    eventually(lambda: server.log.count("Started worker-") == 2, START_SECONDS)
    for number in range(10_000):
        if server.process.poll() is not None:
            break
        send(server.process.pid, told[number % len(told)])
        time.sleep(0.02 / 30)
    assert server.process.wait(STOP_SECONDS) == 0
    assert "Traceback" not in server.log
    assert "error" not in server.log
    assert "Killing" not in server.log
