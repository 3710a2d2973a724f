"""The depth gate: zero failures are worth nothing if every case was a 401.

Reads the reports of the runs of one store. Every run must be complete, without failures and errors. Every operation must have
had accepted (2xx) cases from every identity that may call it, and every declared link must have been taken with a 2xx.
"""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

METHODS = ("get", "put", "post", "delete", "patch")
# What schemathesis warns about and what we answer: the accepted cases counted below say more than these two guesses, which are
# made per run and so complain that a user is not an administrator, or that nobody knows a stranger's session.
JUDGED_BY_THE_GATE = {"missing_auth", "missing_test_data"}


@dataclass(frozen=True)
class Run:
    """One run of schemathesis: who called, where its reports are, and whether it was about all operations or only some."""

    identity: str
    folder: Path
    complete: bool = True

    def summary(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(next(self.folder.glob("json-*.json")).read_text())
        return found

    def scenarios(self) -> Iterator[dict[str, Any]]:
        """The recorded scenarios: their cases, with what the server answered."""
        with next(self.folder.glob("ndjson-*.ndjson")).open() as events:
            for line in events:
                if "ScenarioFinished" in (event := json.loads(line)):
                    yield event["ScenarioFinished"]["recorder"]

    def accepted(self) -> tuple[Counter[str], Counter[str]]:
        """Count 2xx answers by operation (`GET /v1/users/me`) and by link."""
        operations: Counter[str] = Counter()
        links: Counter[str] = Counter()
        for recorder in self.scenarios():
            for case_id, interaction in recorder.get("interactions", {}).items():
                case = recorder["cases"].get(case_id)
                response = interaction.get("response") or {}
                if case and 200 <= response.get("status_code", 0) < 300:
                    operations[f"{case['value']['method']} {case['value']['path']}"] += 1
                    if case.get("transition"):
                        links[case["transition"]["id"]] += 1
        return operations, links


def faults(document: dict[str, Any], runs: list[Run]) -> list[str]:
    """Name everything that makes the runs of one store too shallow, or wrong."""
    found: list[str] = []
    for run in runs:
        found += _summary_faults(run)
        accepted, _ = run.accepted()
        found += [
            f"{run.identity}: {name} was never accepted"
            for name, operation in _operations(document)
            if run.complete and may_call(name.partition(" ")[0], operation, run.identity) and not accepted[name]
        ]
    return found


def untaken(document: dict[str, Any], runs: list[Run]) -> list[str]:
    """The declared links that no run followed to a 2xx, as schemathesis names them."""
    taken: Counter[str] = Counter()
    for run in runs:
        taken += run.accepted()[1]
    return [name for name, _, _ in _links(document) if not taken[name]]


def around(document: dict[str, Any], links: list[str]) -> tuple[str, ...]:
    """The operations at both ends of these links, and those that lead there: their operation ids."""
    ends = {end for name, source, target in _links(document) if name in links for end in (source, target)}
    return tuple(sorted(ends | {source for _, source, target in _links(document) if target in ends}))


def _summary_faults(run: Run) -> list[str]:
    summary = run.summary()
    found = [f"{run.identity}: {failure.get('code')} {failure.get('title')}" for failure in summary["failures"]]
    found += [f"{run.identity}: error {error}" for error in summary["errors"]]
    operations = summary["operations"]
    left_out = 1 if run.identity == "peers" else 0  # delete_me, see peers.toml
    if not summary["complete"] or (run.complete and operations["tested"] != operations["total"] - left_out):
        found.append(f"{run.identity}: not every operation was tested")
    warned = {name: told for name, told in summary["warnings"].items() if told and name not in JUDGED_BY_THE_GATE}
    return found + [f"{run.identity}: warning {name}: {told}" for name, told in warned.items()]


def may_call(method: str, operation: dict[str, Any], identity: str) -> bool:
    """Say whether the identity can get a 2xx from the operation, as the document has it."""
    if operation.get("x-required-roles"):
        return identity == "admin"
    if identity == "peers" and method != "GET":
        return False  # two accounts for the whole run: they prove that reads are kept apart, and are signed out on the way
    public = not operation["security"] or {} in operation["security"]
    return public or identity != "anonymous"


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                yield f"{method.upper()} {path}", item[method]


def _links(document: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Each declared link: its name in the reports, the operation it starts from, the one it leads to."""
    names = {operation["operationId"]: name for name, operation in _operations(document)}
    for name, operation in _operations(document):
        for status, response in operation["responses"].items():
            for link, target in response.get("links", {}).items():
                leads_to = target["operationId"]
                yield f"{name} -> [{status}] {link} -> {names[leads_to]}", operation["operationId"], leads_to
