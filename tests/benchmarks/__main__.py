"""Keycard beside others: CPU per request, throughput, memory, start-up, and a login flood.

python -m tests.benchmarks [--rounds N] [--seconds S] [--only OPERATION]... [--targets NAME]...

Servers run on core 0; wrk, PostgreSQL and Redis, all started here, on core 1. Writes artifacts/benchmarks/. Always exits with 0
when it could measure: a benchmark reports.
"""

import os
import tempfile
from pathlib import Path

import click

from .raw_hash import RawHasher
from .rounds import Run
from .servers import LOAD_CORE, SERVER_CORE, House
from .stores import Missing, program, running
from .targets import CHEAP, OPERATIONS, REAL, ROOT, TARGETS

ARTIFACTS = ROOT / "artifacts" / "benchmarks"
NAMES = [target.name for target in TARGETS]


@click.command()
@click.option("--rounds", default=5, show_default=True, help="Measured rounds; one more warms up.")
@click.option("--seconds", default=3, show_default=True, help="Length of each run of the load generator.")
@click.option("--threads", default=16, show_default=True, help="Threads of every WSGI server.")
@click.option("--only", multiple=True, type=click.Choice(OPERATIONS), help="Operations; all when not given.")
@click.option("--targets", multiple=True, type=click.Choice(NAMES), help="Targets; all when not given.")
def main(rounds: int, seconds: int, threads: int, only: tuple[str, ...], targets: tuple[str, ...]) -> None:
    """Measure Keycard beside others, and write artifacts/benchmarks/."""
    try:
        for name, package in (("wrk", "wrk"), ("taskset", "util-linux")):
            program(name, package)
        if not {SERVER_CORE, LOAD_CORE} <= os.sched_getaffinity(0):
            raise Missing("two cores are needed: one for the server, one for the load")
        measure(rounds, seconds, threads, only or OPERATIONS, targets or tuple(NAMES))
    except Missing as missing:
        raise click.ClickException(str(missing)) from None


def measure(rounds: int, seconds: int, threads: int, operations: tuple[str, ...], names: tuple[str, ...]) -> None:
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    chosen = [target for target in TARGETS if target.name in names]
    costs = [CHEAP] * bool(set(operations) - {"login_real"}) + [REAL] * ("login_real" in operations)
    slots = os.cpu_count() or 1
    raw = [RawHasher(f"raw hasher{', huge pages' * huge}", REAL, slots, SERVER_CORE, huge) for huge in (False, True)]
    with tempfile.TemporaryDirectory(prefix="keycard-bench-") as made:
        folder = Path(made)
        folder.chmod(0o755)  # PostgreSQL runs as another user
        (folder / "stores").mkdir()
        (folder / "servers").mkdir()
        with running(folder / "stores", LOAD_CORE) as stores:
            house = House(stores, folder / "servers", ARTIFACTS / "environments", threads)
            with house.running(chosen, costs) as servers:
                run = Run(servers, raw, operations, seconds, click.echo)
                run.rounds(rounds)


if __name__ == "__main__":
    main()
