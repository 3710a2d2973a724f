"""`keycard doctor`: what this machine and these settings give."""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import argon2
from alembic.migration import MigrationContext
from sqlalchemy.exc import SQLAlchemyError

from . import machine
from .config import settings
from .database import READ, db
from .sessions.revocation import mirror

# VPMULUDQ on 256 bits (Intel SDM, volume 2: VEX.256.66.0F F4), the multiplication of argon2's rounds.
# The plain build has it on 128.
_AVX2 = re.compile(rb"\xc5[" + b"".join(re.escape(bytes([each])) for each in range(5, 256, 8)) + rb"]\xf4")
HASHES = 5


def diagnose() -> Iterator[tuple[str, str]]:
    """Yield what was looked at, and what was found."""
    chosen = settings().argon2
    seconds, cpu = _time_of_a_hash()
    yield "cores", str(machine.cores())
    yield "memory", f"{machine.memory() // 2**20} MiB"
    yield "argon2", f"{argon2_build()}; {_advice()}"
    yield "parameters", f"{chosen.time_cost} passes, {chosen.memory_cost} KiB, {chosen.parallelism} lanes"
    yield "a hash", f"{seconds * 1000:.1f} ms, {cpu * 1000:.1f} ms of CPU, {chosen.memory_cost // 1024} MiB"
    yield "sign-ins", f"at most {1 / cpu:.0f} a second and core"
    yield "database", _database()
    yield "redis", ("ok" if mirror().answers() else "away") if mirror().configured else "not configured"


def argon2_build() -> str:
    """Say for which processor argon2 was compiled: `AVX2`, or the plain build that runs everywhere."""
    import _argon2_cffi_bindings._ffi as bindings

    found = len(_AVX2.findall(Path(bindings.__file__).read_bytes()))
    return "AVX2" if found > 10 else "plain"


def _advice() -> str:
    able = "avx2" in _cpu_flags()
    if argon2_build() == "AVX2":
        return "good" if able else "this processor cannot run it: install the plain one"
    return "an AVX2 build is faster here, see docs/production.md#hashing" if able else "the fastest this processor can run"


def _cpu_flags() -> set[str]:
    try:
        return set(Path("/proc/cpuinfo").read_text().split())
    except OSError:
        return set()


def _time_of_a_hash() -> tuple[float, float]:
    """The least of a few, on the clock and of CPU: the others were disturbed."""
    hasher = argon2.PasswordHasher(**settings().argon2._asdict())
    times = []
    for _ in range(HASHES):
        start, cpu = time.perf_counter(), time.process_time()
        hasher.hash("What does it cost?")
        times.append((time.perf_counter() - start, time.process_time() - cpu))
    return min(wall for wall, _ in times), min(cpu for _, cpu in times)


def _database() -> str:
    try:
        with db.engines[READ].connect() as connection:
            applied = MigrationContext.configure(connection).get_current_heads()
    except SQLAlchemyError as error:
        return f"away ({type(error).__name__})"
    return f"{db.engine.dialect.name}, tables of {' '.join(applied) or 'no version: run keycard db upgrade'}"
