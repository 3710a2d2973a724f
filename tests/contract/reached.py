"""At the end of the whole suite: nothing is documented that no test has reached.

A pytest plugin, on with `--every-answer`. Each process of the run tells the first one which (operation, status) it saw.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.contract.recorder import SEEN

DOCUMENT = Path(__file__).parents[2] / "openapi" / "openapi.json"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--every-answer", action="store_true", help="fail if a documented answer was reached by no test")


def pytest_testnodedown(node: Any, error: Any) -> None:
    """One of the processes is done (pytest-xdist)."""
    SEEN.update(tuple(each) for each in getattr(node, "workeroutput", {}).get("seen", []))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    config = session.config
    if hasattr(config, "workeroutput"):
        config.workeroutput["seen"] = sorted(SEEN)
    elif config.getoption("--every-answer") and exitstatus == pytest.ExitCode.OK and missing():
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    if config.getoption("--every-answer"):
        for operation, status in missing():
            terminalreporter.write_line(f"documented, but reached by no test: {operation} {status}", red=True)
        terminalreporter.write_line(f"{len(SEEN)} documented answers reached")


def missing() -> list[tuple[str, str]]:
    """The documented answers that nobody saw."""
    paths = json.loads(DOCUMENT.read_text(encoding="utf-8"))["paths"].values()
    operations = [operation for item in paths for operation in item.values() if isinstance(operation, dict)]
    documented = {(each["operationId"], status) for each in operations for status in each["responses"]}
    return sorted(documented - SEEN)
