"""Processes pinned to a core, and what /proc says they have used."""

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
START_SECONDS = 60.0
STOP_SECONDS = 15.0


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def until(condition: Callable[[], Any], told: str, pause: float = 0.05) -> Any:
    """Ask until the answer is true, and return it; give up after a minute."""
    deadline = time.monotonic() + START_SECONDS
    while not (answer := condition()):
        if time.monotonic() > deadline:
            raise RuntimeError(told)
        time.sleep(pause)
    return answer


class Process:
    """A command on one core, with its children, from construction to `stop`. Its output goes to a file."""

    def __init__(self, command: Sequence[str | Path], core: int, log: Path, environment: Mapping[str, str], folder: Path) -> None:
        self.log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                ["taskset", "-c", str(core), *map(str, command)], env=dict(environment), cwd=folder,
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    @property
    def tree(self) -> list[int]:
        """The process and everything it started, directly or not."""
        found = [self._process.pid]
        for pid in found:  # grows while it is walked
            found += _children(pid)
        return found

    def cpu_seconds(self) -> float:
        """User and system time of the tree so far, also of those of it that have ended."""
        return sum(_ticks(pid) + _ticks(pid, of_the_ended=True) for pid in self.tree) / TICKS_PER_SECOND

    def peak_memory(self) -> dict[str, int]:
        """KiB: the peak of the process of the tree that has worked most, and the sum of the peaks of all."""
        peaks = {pid: _peak(pid) for pid in self.tree}
        return {"worker": peaks[max(peaks, key=_ticks)], "all": sum(peaks.values())}

    def wait_for(self, condition: Callable[[], Any]) -> None:
        """Wait until it is ready; raise with its output if it is not, or ends."""

        def ready() -> bool:
            if not self.alive:
                raise RuntimeError(self.log.read_text(errors="replace")[-4000:])
            return bool(condition())

        until(ready, f"not ready: {self.log}", pause=0.01)

    def stop(self) -> None:
        """End it, politely first, and whatever it started."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(STOP_SECONDS)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(STOP_SECONDS)


def _children(pid: int) -> list[int]:
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += map(int, (task / "children").read_text().split())
    return found


def _ticks(pid: int, *, of_the_ended: bool = False) -> int:
    """Of the process itself, or of its children that have ended."""
    first = 13 if of_the_ended else 11
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0
    return sum(int(field) for field in stat.rpartition(")")[2].split()[first : first + 2])


def _peak(pid: int) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1])
    return 0
