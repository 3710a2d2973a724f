"""The raw hasher: argon2-cffi alone, as many hashes at once as Keycard has slots, on the server's core.

python -m tests.benchmarks.raw_hash PASSES,KIB,LANES SLOTS SECONDS prints hashes and CPU seconds.
"""

import os
import resource
import subprocess
import sys
import threading
import time
from dataclasses import dataclass

from argon2 import PasswordHasher

from .targets import PASSWORD, ROOT


@dataclass(frozen=True)
class Hashed:
    per_second: float
    cpu_us: float


@dataclass(frozen=True)
class RawHasher:
    """huge_pages: glibc asks the kernel for them, which saves page faults."""

    name: str
    argon2: str
    slots: int
    core: int
    huge_pages: bool = False

    def measure(self, seconds: float) -> Hashed:
        environment = {"PATH": os.environ["PATH"]} | ({"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"} if self.huge_pages else {})
        command = ["taskset", "-c", str(self.core), sys.executable, "-m", "tests.benchmarks.raw_hash"]
        command += [self.argon2, str(self.slots), str(seconds)]
        done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=True)
        hashes, elapsed, cpu = map(float, done.stdout.split())
        return Hashed(hashes / elapsed, cpu / hashes * 1e6)


def _run(argon2: str, slots: int, seconds: float) -> None:
    passes, kib, lanes = map(int, argon2.split(","))
    hasher = PasswordHasher(time_cost=passes, memory_cost=kib, parallelism=lanes)
    encoded = hasher.hash(PASSWORD)
    counts = [0] * slots
    cpu, started = _cpu(), time.monotonic()

    def work(slot: int) -> None:
        while time.monotonic() - started < seconds:
            hasher.verify(encoded, PASSWORD)
            counts[slot] += 1

    threads = [threading.Thread(target=work, args=(slot,)) for slot in range(slots)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(sum(counts), time.monotonic() - started, _cpu() - cpu)  # noqa: T201 - read by `measure`


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    _run(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
