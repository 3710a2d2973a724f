"""Keycard beside others: CPU per request, throughput, memory, start-up, and a login flood.

python -m tests.benchmarks [--rounds N] [--seconds S] [--only WHAT]... [--targets NAME]...
python -m tests.benchmarks --only growth [--rounds N] [--seconds S] [--people N]...

Servers run on core 0; wrk, PostgreSQL and Redis, all started here, on core 1. Writes artifacts/benchmarks/. Always exits with 0
when it could measure: a benchmark reports.
"""

import os
import signal
import sys
import tempfile
from pathlib import Path

import click

from . import growth
from .experiments import EXTRAS, GROWTH, Plan, measure, measure_growth
from .report import PLACE, write
from .servers import LOAD_CORE, SERVER_CORE
from .stores import MissingError, program
from .targets import OPERATIONS, ROOT, TARGETS

ARTIFACTS = ROOT / "artifacts" / "benchmarks"
EVERYTHING = (*OPERATIONS, *EXTRAS)
NAMES = [target.name for target in TARGETS]


@click.command()
@click.option("--rounds", default=5, show_default=True, help="Measured rounds; one more warms up.")
@click.option("--seconds", default=3, show_default=True, help="Length of each run of the load generator.")
@click.option("--threads", default=16, show_default=True, help="Threads of every WSGI server but Keycard's.")
@click.option(
    "--only",
    multiple=True,
    type=click.Choice((*EVERYTHING, GROWTH)),
    help="What to measure; everything but growth when not given.",
)
@click.option("--targets", multiple=True, type=click.Choice(NAMES), help="Targets; all when not given.")
@click.option(
    "--people", multiple=True, type=click.IntRange(100), default=growth.SIZES, help="Sizes for growth, which is measured alone."
)
def main(  # noqa: PLR0917 - click's
    rounds: int, seconds: int, threads: int, only: tuple[str, ...], targets: tuple[str, ...], people: tuple[int, ...]
) -> None:
    """Measure Keycard beside others, and write artifacts/benchmarks/."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the servers end with us
    try:
        for name, package in (("wrk", "wrk"), ("taskset", "util-linux")):
            program(name, package)
        if not {SERVER_CORE, LOAD_CORE} <= os.sched_getaffinity(0):
            raise MissingError("two cores are needed: one for the server, one for the load")
        os.sched_setaffinity(0, {LOAD_CORE})
        chosen = [target for target in TARGETS if target.name in (targets or NAMES)]
        ARTIFACTS.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="keycard-bench-") as folder:
            plan = Plan(rounds, seconds, threads, only or EVERYTHING, chosen, Path(folder), ARTIFACTS / "environments")
            if GROWTH in only:
                click.echo("\n" + growth.write(measure_growth(plan, people, click.echo), ARTIFACTS))
                return
            results = measure(plan, click.echo)
        click.echo("\n" + write(results, ARTIFACTS))
        click.echo(f"{ARTIFACTS}: {', '.join(PLACE.values())}")
    except MissingError as missing:
        raise click.ClickException(str(missing)) from None


if __name__ == "__main__":
    main()
