"""What is measured is read, divided and judged rightly."""

import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from . import growth, processes, promises
from .load import Load, Request, as_lua
from .report import markdown, table
from .rounds import Sample, Series, spread


def results(**rates: float) -> dict[str, Any]:
    """Results of get_me, with so many answers a second, each of which costs a core's share of a second."""
    targets = {name.replace("_", " "): Series([Sample(rate, 1e6 / rate, 1, 2)]).summary() for name, rate in rates.items()}
    return {"operations": {"get_me": targets}}


def verdict(text: str, found: dict[str, Any]) -> dict[str, Any]:
    return next(each for each in promises.verdicts(found) if each["promise"].startswith(text))


@pytest.mark.parametrize(("rate", "holds"), [(2200.0, True), (2199.0, False)])
def test_a_promise_of_more_holds_from_its_limit_on(rate: float, *, holds: bool) -> None:
    """Throughput is ours divided by theirs, and the limit itself is enough."""
    found = verdict("get_me: throughput, times tutorial", results(keycard=rate, tutorial=1000.0))
    assert (found["figure"], found["holds"]) == (rate / 1000, holds)


@pytest.mark.parametrize(("bare", "holds"), [(4400.0, True), (4600.0, False)])
def test_a_promise_of_less_holds_up_to_its_limit(bare: float, *, holds: bool) -> None:
    """CPU is ours divided by theirs: half the rate is twice the cost."""
    found = verdict("get_me: CPU, times bare Flask", results(keycard=1000.0, bare_Flask=bare))
    assert (found["figure"], found["holds"]) == (bare / 1000, holds)


def test_what_was_not_measured_neither_holds_nor_fails() -> None:
    """A part of the benchmark run alone must not claim the rest."""
    told = promises.verdicts(results(keycard=1.0))
    assert {each["holds"] for each in told} == {None}


def test_the_page_has_the_goals_of_the_benchmark() -> None:
    """Each goal on docs/performance.md is the limit that a run is judged by; start-up has one for all of its rows."""
    page = (Path(__file__).parents[2] / "docs" / "performance.md").read_text(encoding="utf-8")
    told = {
        text: float(goal)
        for text, goal in re.findall(r"^\| ([\w-]+[^|]*) \| ([\d.]+) \| [\d.]+[^|]* \| [\d.]+[^|]* \|$", page, re.MULTILINE)
    }
    start = {each.limit for each in promises.PROMISES if ": start to" in each.text}
    assert {told.pop("start, seconds")} == start
    judged = {each.text: each.limit for each in promises.PROMISES if ": start to" not in each.text}
    assert told == {text: limit for text, limit in judged.items() if not text.startswith("flood: ")}


def test_the_raw_hasher_may_use_what_helps_the_server() -> None:
    """The share is of the faster of the hashers: one without huge pages is no measure of a server that has them."""
    rates = {"keycard": 9.0, "raw hasher": 5.0, "raw hasher, huge pages": 10.0}
    hashing = {name: Series([Sample(rate, 1, 0, 0)]).summary() for name, rate in rates.items()}
    found = verdict("login_real", {"operations": {"login_real": hashing}})
    assert (found["figure"], found["holds"]) == (0.9, False)


def test_a_spread_is_the_median_between_the_quartiles() -> None:
    """One slow round moves neither much, and a single round is its own spread."""
    assert spread([5, 1, 3, 2, 4]) == {"median": 3, "q1": 2, "q3": 4}
    assert spread([7]) == {"median": 7, "q1": 7, "q3": 7}


def test_a_run_with_unexpected_answers_says_so() -> None:
    """A server that refuses everything would be the fastest of all."""
    load = Load(100, 1_000_000, 40, 0, 0, 0, 0, 0, 1, 2)
    assert load.faults(refusal_expected=False) == ["40 unexpected statuses"]
    assert load.faults(refusal_expected=True) == ["60 unexpected statuses"]
    assert Load(100, 1_000_000, 0, 0, 0, 0, 0, 0, 1, 2).faults(refusal_expected=False) == []
    assert Load(100, 500_000, 0, 0, 0, 0, 0, 0, 1, 2).per_second == 200


def test_a_run_with_faults_does_not_count() -> None:
    """It is told, and neither its rate nor a promise that rests on it is."""
    series = Series()
    series.add(Sample(9000.0, 1, 1, 2), ["40 unexpected statuses"])
    found: dict[str, Any] = {
        "operations": {"get_me": {"keycard": series.summary(), **results(tutorial=1.0)["operations"]["get_me"]}}
    }
    found["promises"] = promises.verdicts(found)
    assert found["promises"][1]["holds"] is None
    assert "40 unexpected statuses" in table(found)
    assert "9000" not in table(found)
    series.add(Sample(10.0, 1, 1, 2), [])
    assert series.summary()["per_second"]["median"] == 10


def test_cpu_of_children_and_their_children_counts() -> None:
    """The worker is a child of the server: without it every server would be free of cost."""
    spin = "import time\nwhile time.process_time() < 0.3: pass\nprint('done', flush=True)\ninput()"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {spin!r}])"
    process = subprocess.Popen([sys.executable, "-c", parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin
    assert process.stdout
    try:
        assert process.stdout.readline() == b"done\n"
        measured = processes.Process.__new__(processes.Process)
        measured._process = process
        assert len(measured.tree) == 2
        assert measured.cpu_seconds() >= 0.29
        assert measured.peak_memory()["all"] > measured.peak_memory()["worker"] > 1000
    finally:
        process.communicate(b"\n")


def test_a_request_is_filled_with_its_value_everywhere() -> None:
    """What is checked once before the run is what wrk sends during it."""
    request = Request("POST", "/x", "names", {"Authorization": "Bearer VALUE"}, '{"name": "VALUE"}')
    assert request.filled("ada") == {
        "method": "POST", "url": "/x", "headers": {"Authorization": "Bearer ada"}, "content": '{"name": "ada"}',
    }  # fmt: skip


def test_a_plan_is_lua() -> None:
    """Quotes, line ends and backslashes of a body or a pattern arrive as they are."""
    assert (
        as_lua({"body": '{"a": "\\n"}\n', "take": None, "count": True})
        == '{["body"]="{\\"a\\": \\"\\\\n\\"}\\n", ["count"]=true}'
    )


def test_the_table_shows_every_target_and_every_promise() -> None:
    """Nothing that was measured is missing from what is read."""
    found = results(keycard=2000.0, tutorial=1000.0)
    found["promises"] = promises.verdicts(found)
    text = table(found)
    assert "times 2.00" in text
    assert text.count("not measured") == len(promises.PROMISES) - 1
    assert markdown(["a", "b"], [["xx", "y"]]) == "| a  | b |\n| -- | - |\n| xx | y |"


@pytest.mark.parametrize(("largest", "verdict"), [(130.0, "holds"), (132.0, "missed")])
def test_growth_compares_both_costs_of_the_largest_with_the_smallest(largest: float, verdict: str) -> None:
    """What PostgreSQL uses counts as what Keycard uses does: the table is there."""
    run = growth._Run.__new__(growth._Run)
    run.faults = defaultdict(list)
    run.costs = {("get_me", 100): [growth.Cost(10, 60, 40)], ("get_me", 10_000): [growth.Cost(10, 60, largest - 60)]}
    found: dict[str, Any] = {"sizes": [100, 10_000], "operations": run.summary(), "read_whole": {}, "bytes_per_row": {}}
    assert growth.ratios(found) == {"get_me": largest / 100}
    assert verdict in growth.table(found)
