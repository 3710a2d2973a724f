"""Everything one run of the command measures, in order."""

import json
import os
import platform
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from . import flood, growth, starting
from .environments import python_for
from .raw_hash import RawHasher
from .rounds import Run
from .servers import LOAD_CORE, SERVER_CORE, House, Server
from .stores import running
from .targets import CHEAP, HERE, KEYCARD, OPERATIONS, OURS, REAL, ROOT, Target, keycard_environment

EXTRAS = ("memory", "start", "layers", "flood")
GROWTH = "growth"
TOLD = ("flask", "flask-smorest", "flask-jwt-extended", "sqlalchemy", "psycopg", "redis", "argon2-cffi-bindings", "granian")
VERSIONS = f"from importlib.metadata import version; print(', '.join(f'{{name}} {{version(name)}}' for name in {TOLD}))"
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """What to measure, and how long."""

    rounds: int
    seconds: int
    threads: int
    what: Sequence[str]
    targets: Sequence[Target]
    folder: Path
    environments: Path

    @property
    def operations(self) -> list[str]:
        return [name for name in self.what if name in OPERATIONS]

    @property
    def costs(self) -> list[str]:
        """Of the hash: which servers are needed."""
        real = {"login_real", "flood"} & set(self.what)
        return [CHEAP] * bool(set(self.operations) - {"login_real"} or not real) + [REAL] * bool(real)


def measure(plan: Plan, tell: Tell) -> dict[str, Any]:
    """Start everything, measure, stop everything."""
    plan.folder.chmod(0o755)  # PostgreSQL runs as another user
    for name in ("stores", "servers"):
        (plan.folder / name).mkdir()
    results: dict[str, Any] = {"facts": facts(plan)}
    with running(plan.folder / "stores", LOAD_CORE) as stores:
        house = House(stores, plan.folder / "servers", plan.environments, plan.threads)
        if "start" in plan.what:
            tell("start-up")
            results["start"] = starting.measure(house, CHEAP, times=max(plan.rounds, 3))
        if "layers" in plan.what:
            tell("layers of get_me")
            results["layers"] = layers(house, plan.rounds)
        with house.running(plan.targets, plan.costs) as servers:
            results["operations"] = rounds(plan, servers, tell)
            if "flood" in plan.what and (KEYCARD.name, REAL) in servers:
                tell("a flood of sign-ins")
                results["flood"] = flood.measure(servers[KEYCARD.name, REAL], max(plan.seconds * 4, 8))
            if "memory" in plan.what:
                results["memory"] = memory(servers)
    return results


def measure_growth(plan: Plan, people: Sequence[int], tell: Tell) -> dict[str, Any]:
    """What a request costs with so many people, on servers of its own."""
    plan.folder.chmod(0o755)
    for name in ("stores", "servers"):
        (plan.folder / name).mkdir()
    with running(plan.folder / "stores", LOAD_CORE) as stores:
        house = House(stores, plan.folder / "servers", plan.environments, plan.threads)
        return {"facts": facts(plan), **growth.measure(house, people, plan.rounds, plan.seconds, tell)}


def rounds(plan: Plan, servers: dict[tuple[str, str], Server], tell: Tell) -> dict[str, Any]:
    """By operation and target: medians and quartiles."""
    slots = os.cpu_count() or 1
    raw = [RawHasher(f"raw hasher{', huge pages' * huge}", REAL, slots, SERVER_CORE, huge) for huge in (False, True)]
    run = Run(servers, raw, plan.operations, plan.seconds, tell)
    run.rounds(plan.rounds)
    found: dict[str, Any] = defaultdict(dict)
    order = [target.name for target in plan.targets] + [hasher.name for hasher in raw]
    for name, operation in sorted(run.series, key=lambda key: order.index(key[0])):
        found[operation][name] = run.series[name, operation].summary()
    return dict(found)


def layers(house: House, count: int) -> dict[str, Any]:
    """In a process of its own on the server's core."""
    environment = {**keycard_environment(house.new_start(KEYCARD, CHEAP)), "PYTHONPATH": str(ROOT)}
    command = ["taskset", "-c", str(SERVER_CORE), sys.executable, "-m", "tests.benchmarks.layers", str(count)]
    done = subprocess.run(command, env=environment, cwd=environment["HOME"], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr[-4000:])
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def memory(servers: dict[tuple[str, str], Server]) -> dict[str, Any]:
    """Peaks in MiB since the start, by target and by whether real hashes were computed."""
    found: dict[str, Any] = defaultdict(dict)
    for (name, cost), server in servers.items():
        peak = server.process.peak_memory()
        found[name]["cheap" if cost == CHEAP else "real"] = {f"{kind}_mib": round(kib / 1024, 1) for kind, kib in peak.items()}
    return dict(found)


def facts(plan: Plan) -> dict[str, str]:
    """The machine, the versions, and the options of this run."""
    models = [line.partition(": ")[2] for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line]
    needed = {target.requirements for target in plan.targets} - {OURS}
    told = {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _said("git", "describe", "--always", "--dirty") or "unknown",
        "machine": f"{os.cpu_count()} cores ({models[0] if models else platform.machine()}), Linux {platform.release()}",
        "load average before the run": f"{os.getloadavg()[0]:.1f}",
        "python": platform.python_version(),
        "rounds": f"{plan.rounds} of {plan.seconds} s, {plan.threads} threads",
        "load generator": _said("wrk", "-v").partition(" [")[0],
        "keycard, bare Flask and the tutorial": _said(str(python_for(OURS, plan.environments)), "-c", VERSIONS),
    }
    return told | {name: _pinned(name) for name in sorted(needed)}


def _said(*command: str) -> str:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()


def _pinned(requirements: str) -> str:
    return ", ".join((HERE / "baselines" / requirements / "requirements.txt").read_text().split())
