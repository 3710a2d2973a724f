"""The results as a table, a plot, and a page that says how they came about."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from .promises import verdicts
from .targets import OPERATIONS

Results = dict[str, Any]
PLACE = {"results": "results.json", "table": "table.md", "plot": "plot.svg", "method": "how-it-was-measured.md"}


def write(results: Results, folder: Path) -> str:
    """Write every file; return the table."""
    results["promises"] = verdicts(results)
    text = table(results)
    (folder / PLACE["results"]).write_text(json.dumps(results, indent=1) + "\n")
    (folder / PLACE["table"]).write_text(text)
    (folder / PLACE["method"]).write_text(method(results))
    plot(results, folder / PLACE["plot"])
    return text


def table(results: Results) -> str:
    """All figures as Markdown."""
    return "\n\n".join(["# Benchmarks", *_operations(results), *_others(results), _promises(results)]) + "\n"


def _operations(results: Results) -> Iterator[str]:
    header = ["operation", "target", "answers/s", "quartiles", "CPU µs/answer", "quartiles", "p99 ms", "keycard's rate", "runs"]
    rows = [_row(results, operation, target) for operation in OPERATIONS for target in measured(results, operation)]
    if rows:
        yield "## Operations\n\n" + markdown(header, rows)
    faults = sorted({f"{operation}, {target}: {fault}" for operation, found in results["operations"].items()
                     for target, series in found.items() for fault in series["faults"]})  # fmt: skip
    if faults:
        yield "Runs with faults, which do not count:\n\n" + "\n".join(f"- {fault}" for fault in faults)


def measured(results: Results, operation: str) -> list[str]:
    """The targets that have figures for it."""
    return [target for target, series in results["operations"].get(operation, {}).items() if series["runs"]]


def _row(results: Results, operation: str, target: str) -> list[str]:
    series = results["operations"][operation][target]
    rate, cpu = series["per_second"], series["cpu_us"]
    ours = results["operations"][operation]["keycard"]["per_second"] if "keycard" in measured(results, operation) else None
    times = f"times {ours['median'] / rate['median']:.2f}" if ours and rate["median"] else "-"
    digits = 2 if rate["median"] < 100 else 0
    return [
        operation,
        target,
        f"{rate['median']:.{digits}f}",
        f"{rate['q1']:.{digits}f} to {rate['q3']:.{digits}f}",
        f"{cpu['median']:.0f}",
        f"{cpu['q1']:.0f} to {cpu['q3']:.0f}",
        f"{series['p99_us']['median'] / 1e3:.1f}",
        times,
        str(series["runs"]),
    ]


def _others(results: Results) -> Iterator[str]:
    if results.get("memory"):
        rows = [[name, kind, f"{found['worker_mib']:.0f}", f"{found['all_mib']:.0f}"]
                for name, kinds in results["memory"].items() for kind, found in kinds.items()]  # fmt: skip
        yield "## Peak memory after the load\n\n" + markdown(["target", "hash", "worker, MiB", "all processes, MiB"], rows)
    if start := results.get("start"):
        rows = [[env, *(f"{start[env][path]:.2f}" for path in ("/health/live", "/health/ready", "slowest"))]
                for env in ("development", "production")]  # fmt: skip
        yield "## Start to the first 200, seconds\n\n" + markdown(["", "/health/live", "/health/ready", "slowest"], rows)
    if layers := results.get("layers"):
        rows = [[name, f"{cost['median']:.0f}", f"{cost['least']:.0f}"] for name, cost in layers.items()]
        yield "## Layers of get_me, CPU µs in one process\n\n" + markdown(["layer", "median", "least"], rows)
    if flood := results.get("flood"):
        figures = ("answers", "p50_ms", "p99_ms", "max_ms")
        rows = [[name, *(f"{flood[name][figure]:g}" for figure in figures)] for name in ("idle", "flooded")]
        told = (f"{flood['logins_per_second']} sign-ins/s on {flood['connections']} connections; {flood['refused_503']} of "
                f"{flood['answers']} answers were 503 ({flood['refused_without_retry_after']} without Retry-After); "
                f"other errors: {flood['other_errors']}.")  # fmt: skip
        title, header = "## get_me of one client during a flood of sign-ins", ["", "answers", "p50 ms", "p99 ms", "max ms"]
        yield f"{title}\n\n{markdown(header, rows)}\n\n{told}"


def _promises(results: Results) -> str:
    words = {None: "not measured", True: "holds", False: "**missed**"}
    rows = [
        [
            each["promise"],
            "-" if each["figure"] is None else f"{each['figure']:g}",
            f"{'≥' if each['at_least'] else '≤'} {each['limit']:g}",
            words[each["holds"]],
        ]
        for each in results["promises"]
    ]
    return "## Promises\n\n" + markdown(["figure", "measured", "limit", ""], rows)


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table whose columns are aligned, so that it can be read as text."""
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]
    lines = [header, ["-" * width for width in widths], *rows]
    padded = ([cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in lines)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in padded)


def method(results: Results) -> str:
    """How it was measured: filled with what this run found."""
    facts = results["facts"]
    versions = "\n".join(f"- {name}: {value}" for name, value in facts.items())
    return f"{(Path(__file__).parent / 'method.md').read_text()}\n## This run\n\n{versions}\n"


def plot(results: Results, file: Path) -> None:
    """CPU per answer: a panel for each operation, a bar for each target, with its quartiles."""
    try:
        import matplotlib as mpl
    except ImportError:
        print("No plot: matplotlib is missing; install it with: pip install matplotlib==3.11.2")  # noqa: T201
        return
    mpl.use("svg")
    from matplotlib import pyplot

    found = [name for name in OPERATIONS if measured(results, name)]
    if not found:
        return
    figure, panels = pyplot.subplots(len(found), 1, figsize=(9, 1.7 * len(found) + 0.5), squeeze=False, layout="constrained")
    for operation, panel in zip(found, panels[:, 0], strict=True):
        series = results["operations"][operation]
        names = measured(results, operation)[::-1]
        costs = [series[name]["cpu_us"] for name in names]
        middles = [cost["median"] for cost in costs]
        errors = [[cost["median"] - cost["q1"] for cost in costs], [cost["q3"] - cost["median"] for cost in costs]]
        panel.barh(names, middles, xerr=errors, color=["#c2410c" if name == "keycard" else "#94a3b8" for name in names])
        panel.set_title(operation, loc="left", fontsize=10)
        panel.spines[["top", "right"]].set_visible(False)
    panels[-1, 0].set_xlabel("CPU µs per answer: medians and quartiles; less is better")
    figure.savefig(file)
    figure.savefig(file.with_suffix(".png"), dpi=120)
    pyplot.close(figure)
