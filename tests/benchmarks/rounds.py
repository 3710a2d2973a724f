"""The interleaved run: every operation on every target, again and again, so that a disturbance hits all alike."""

import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from .raw_hash import RawHasher
from .servers import Server
from .slow import sign_in_for
from .targets import CHEAP, REAL

# Until what a finished run has left behind is worked off.
SETTLE_SECONDS = 0.2
# More tokens than the fastest run so far would have used.
RESERVE = 2
# Answers a second that the round that does not count is prepared for.
GUESS = 400
# A few hashes a second need a longer run.
SLOWER = 2
# Sign-ins that wait while every slot hashes, so that no slot is ever idle.
WAITING = 2


@dataclass(frozen=True)
class Sample:
    """One run: answers per second, and CPU of the server's processes per answer."""

    per_second: float
    cpu_us: float
    p50_us: int
    p99_us: int


@dataclass
class Series:
    """The runs of one operation on one target."""

    samples: list[Sample] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def add(self, sample: Sample, faults: Sequence[str]) -> None:
        """Take a run into account, or only tell what was wrong with it: refusals are cheap, and would look fast."""
        if faults:
            self.faults += faults
        else:
            self.samples.append(sample)

    def summary(self) -> dict[str, Any]:
        """Medians and quartiles of the runs without faults; no figures when there is none."""
        told: dict[str, Any] = {"runs": len(self.samples), "faults": self.faults}
        for name in ("per_second", "cpu_us", "p50_us", "p99_us") if self.samples else ():
            told[name] = spread([getattr(sample, name) for sample in self.samples])
        return told


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median and quartiles; of a single value, itself."""
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else [values[0]] * 3
    return {"median": round(middle, 2), "q1": round(low, 2), "q3": round(high, 2)}


@dataclass
class Run:
    """All rounds. tell: where progress is reported."""

    servers: dict[tuple[str, str], Server]
    raw: Sequence[RawHasher]
    operations: Sequence[str]
    seconds: float
    tell: Callable[[str], None]
    series: dict[tuple[str, str], Series] = field(default_factory=lambda: defaultdict(Series))
    _fastest: dict[tuple[str, str], float] = field(default_factory=dict)

    def rounds(self, count: int) -> None:
        """A round that warms up and does not count, and then the others; who begins changes every time."""
        for number in range(count + 1):
            for operation in self.operations:
                for server in self._turn(operation, number):
                    measure = self._measure_slowly if operation == "login_real" else self._measure
                    measure(server, operation, counts=number > 0)
                if operation == "login_real":
                    self._hash(counts=number > 0)

    def _turn(self, operation: str, number: int) -> list[Server]:
        cost = REAL if operation == "login_real" else CHEAP
        able = [server for (_, has), server in self.servers.items() if has == cost and server.target.can(operation)]
        shift = number % len(able) if able else 0
        return able[shift:] + able[:shift]

    def _measure(self, server: Server, operation: str, *, counts: bool) -> None:
        key = (server.target.name, operation)
        request = server.target.requests[operation]
        expected = self._fastest.get(key, GUESS) * self.seconds * RESERVE
        values = server.values(request, int(expected))
        time.sleep(SETTLE_SECONDS)
        before = server.process.cpu_seconds()
        load = server.drive(request, values, self.seconds)
        time.sleep(SETTLE_SECONDS)
        used = server.process.cpu_seconds() - before
        faults = load.faults(refusal_expected=request.status >= 400)
        self._fastest[key] = max(self._fastest.get(key, 1.0), load.per_second)
        cpu_us = used / max(load.requests, 1) * 1e6
        self.tell(f"{operation:10} {server.target.name:20} {load.per_second:8.0f}/s {cpu_us:9.0f} µs  {' '.join(faults)}")
        if counts:
            self.series[key].add(Sample(load.per_second, cpu_us, load.p50_us, load.p99_us), faults)

    def _measure_slowly(self, server: Server, operation: str, *, counts: bool) -> None:
        before = server.process.cpu_seconds()
        done = sign_in_for(server, self.seconds * SLOWER, self.raw[0].slots + WAITING)
        cpu_us = (server.process.cpu_seconds() - before) / max(done.requests, 1) * 1e6
        rate = done.requests / done.seconds
        faults = [f"{done.unexpected} unexpected statuses"] if done.unexpected else []
        self.tell(f"{operation:10} {server.target.name:20} {rate:8.2f}/s {cpu_us:9.0f} µs  {' '.join(faults)}")
        if counts:
            self.series[server.target.name, operation].add(Sample(rate, cpu_us, 0, 0), faults)

    def _hash(self, *, counts: bool) -> None:
        for hasher in self.raw:
            found = hasher.measure(self.seconds * SLOWER)
            self.tell(f"login_real {hasher.name:20} {found.per_second:8.2f}/s {found.cpu_us:9.0f} µs")
            if counts:
                self.series[hasher.name, "login_real"].add(Sample(found.per_second, found.cpu_us, 0, 0), [])
