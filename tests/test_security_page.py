"""docs/security.md says nothing that is not so: every test that it names runs, and every table is what the code does."""

import ast
import configparser
import csv
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from api.audit.models import EVENT_TYPES
from api.config import Settings
from api.database import db
from tests.once import ROUNDS, STORES, THINGS, USES, table
from tests.test_code import calls, imported, sources

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGE = (DOCS / "security.md").read_text(encoding="utf-8")
POLICY = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
DOCUMENT: dict[str, Any] = json.loads((ROOT / "openapi" / "openapi.json").read_text(encoding="utf-8"))
# Numbers and levels of ASVS 5.0.0, from its file 5.0/docs_en/…_5.0.0_en.csv: levels 1 and 2.
ASVS = ROOT / "tests" / "asvs_5_0_0.csv"
TEST_ID = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
DEPARTS = "departs, [0037](decisions/0037-what-asvs-asks.md): "
# Of what applies at least so many of a hundred are shown by a test.
GOAL = {"1": 100, "2": 95}
# What can open a connection, or listen.
NETWORK = {"socket", "socketserver", "smtplib", "urllib.request", "http.client", "redis", "psycopg", "opentelemetry", "httpx"}


class Row(NamedTuple):
    number: str
    level: str
    what: str
    how: str


def section(title: str) -> str:
    """The text below a heading, up to the next of the same or a higher level."""
    level, rest = re.findall(rf"^(#+) {re.escape(title)}\n(.*)", PAGE, re.MULTILINE | re.DOTALL)[0]
    return str(re.split(rf"^#{{1,{len(level)}}} ", rest, maxsplit=1, flags=re.MULTILINE)[0])


def rows(title: str) -> list[list[str]]:
    """The cells of the table below a heading."""
    lines = [line for line in section(title).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def code(text: str) -> list[str]:
    """What is written as code."""
    return re.findall(r"`([^`]+)`", text)


REQUIREMENTS = [Row(*each) for each in re.findall(r"^\| (\d+\.\d+\.\d+) \| (\d) \| (.+?) \| (.+) \|$", PAGE, re.MULTILINE)]
LEFT_OUT = [number for numbers, _ in rows("What does not apply") for number in numbers.split(", ")]
LEVELS = dict(csv.reader(ASVS.read_text(encoding="utf-8").splitlines()[1:]))
NAMED = sorted(set(TEST_ID.findall(PAGE)))


def test_every_requirement_is_on_the_page_once() -> None:
    """In a chapter with its level, or among those that do not apply, with the reason."""
    told = Counter([each.number for each in REQUIREMENTS] + LEFT_OUT)
    assert set(told) == set(LEVELS)
    assert set(told.values()) == {1}
    assert {each.number: each.level for each in REQUIREMENTS}.items() <= LEVELS.items()
    assert all(why for _, why in rows("What does not apply"))
    assert Counter(LEVELS.values()) == {"1": 70, "2": 183}


def test_each_is_shown_by_a_test_or_departs() -> None:
    decision = (DOCS / "decisions" / "0037-what-asvs-asks.md").read_text(encoding="utf-8")
    for each in REQUIREMENTS:
        if each.how.startswith(DEPARTS):
            assert re.search(rf"\b{re.escape(each.number)}\b", decision), each
        else:
            shown = "<br>".join(f"`{file}::{name}`" for file, name in TEST_ID.findall(each.how))
            assert shown == each.how, each


def test_the_summary_is_counted() -> None:
    expected = []
    for level, goal in GOAL.items():
        applies = [each for each in REQUIREMENTS if each.level == level]
        departs = [each for each in applies if each.how.startswith(DEPARTS)]
        share = 100 * (len(applies) - len(departs)) / len(applies)
        everything = sum(each == level for each in LEVELS.values())
        counted = (level, everything, len(applies), len(applies) - len(departs), len(departs), f"{share:.1f} %")
        expected.append([str(each) for each in counted])
        assert share >= goal
    lines = [line for line in section("ASVS 5.0").splitlines() if re.match(r"\| [12] \|", line)]
    assert [[cell.strip() for cell in line.strip("|").split("|")] for line in lines] == expected


@pytest.fixture(scope="module")
def collected() -> set[tuple[str, str]]:
    """The tests that pytest finds in the files that the page names."""
    files = sorted({file for file, _ in NAMED})
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "-n", "0", "-p", "no:cacheprovider", *files],
        cwd=ROOT, capture_output=True, text=True, timeout=280, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:]
    return set(re.findall(r"^(tests/[\w/]+\.py)::(\w+)", done.stdout, re.MULTILINE))


@pytest.mark.timeout(300)
def test_every_named_test_exists(collected: set[tuple[str, str]]) -> None:
    assert [each for each in NAMED if each not in collected] == []
    assert len(NAMED) > 100
    assert PAGE.count("::test_") == len(TEST_ID.findall(PAGE))


def skips(function: ast.AST) -> bool:
    """Whether a test, or the mark of a module, skips by itself. Fixtures skip where a store is away, and in CI they fail."""
    marked = [each for each in getattr(function, "decorator_list", []) if "skip" in ast.unparse(each)]
    called = [node for node in ast.walk(function) if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.skip"]
    return bool(marked or called)


def promises(file: Path) -> Iterator[tuple[str, ast.AST]]:
    """The tests of a file, and marks that hold for all of them."""
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef):
            yield node.name, node
        elif isinstance(node, ast.Assign) and "pytestmark" in ast.unparse(node.targets[0]):
            assert "skip" not in ast.unparse(node), file


def test_no_named_test_is_skipped() -> None:
    found = {(file, name): node for file in {file for file, _ in NAMED} for name, node in promises(ROOT / file)}
    assert [each for each in NAMED if skips(found[each])] == []


def test_a_test_that_is_skipped_would_be_noticed() -> None:
    for text in (
        "@pytest.mark.skip\ndef test_x(): pass",
        "@pytest.mark.skipif(True, reason='')\ndef test_x(): pass",
        "def test_x():\n    if y:\n        pytest.skip('')",
    ):
        assert skips(ast.parse(text).body[0])
    assert not skips(ast.parse("def test_x():\n    assert y").body[0])


def ci() -> Iterator[tuple[list[str], list[str]]]:
    """What each environment of tox runs of all tests: the paths that it names (none means all), and those that it leaves out."""
    tox = configparser.ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini", encoding="utf-8")
    listed = re.split(r",\s*", tox["tox"]["env_list"])
    commands = {f"testenv:{name}": tox[f"testenv:{name}"]["commands"] for name in listed if f"testenv:{name}" in tox}
    commands["testenv"] = tox["testenv"]["commands"]
    for line in "\n".join(commands.values()).splitlines():
        if "pytest" in line and " -k " not in line:
            left_out = re.findall(r"--ignore (\S+)", line)
            named = re.findall(r"(?<=\s)(?:\{tox_root\}/)?(tests/\S+)", re.sub(r"--ignore \S+|\([^)]*\)", "", line))
            yield named, left_out


def runs(file: str, environments: list[tuple[list[str], list[str]]]) -> bool:
    """Whether some environment runs the tests of a file."""

    def within(paths: list[str]) -> bool:
        return any(file == path or file.startswith(f"{path.rstrip('/')}/") for path in paths)

    return any(within(named) if named else not within(left_out) for named, left_out in environments)


def test_every_named_test_runs_in_ci() -> None:
    """In the environment of the oldest Python, or in one of those that have tests of their own."""
    environments = list(ci())
    assert [file for file in sorted({file for file, _ in NAMED}) if not runs(file, environments)] == []
    assert ["tests/browser"] in [named for named, _ in environments]
    assert not runs("tests/browser/test_docs_page.py", [each for each in environments if each[0] != ["tests/browser"]])


DEFAULTS = {f"KEYCARD_{each.name.upper()}": each.default for each in fields(Settings)}


def test_every_limit_told_is_the_default() -> None:
    told = {code(setting)[0]: code(default)[0] for _, setting, default in rows("Limits and lifetimes")}
    assert told == {name: str(DEFAULTS[name]) for name in told}
    rates = {name for name in DEFAULTS if "RATELIMIT_" in name or "LIFETIME" in name} - {"KEYCARD_RATELIMIT_ENABLED"}
    assert rates <= set(told)
    assert DEFAULTS["KEYCARD_RESET_LIFETIME"] <= 600


def test_the_settings_assumed_are_accepted() -> None:
    """In production, together; and so are the lives that NIST wants."""
    told = {code(setting)[0]: code(value) for setting, value, _ in rows("The settings that this page assumes") if code(setting)}
    assert list(told) == [name for name in told if name in DEFAULTS]
    chosen = {name.removeprefix("KEYCARD_").lower(): value[0] for name, value in told.items() if value}
    chosen["breached_passwords_url"] = "https://api.pwnedpasswords.com/range/"
    settings = Settings(
        **chosen, env="production", public_url="https://auth.example.com", smtp_url="smtps://mail.example.com",
        mail_from="no-reply@example.com", refresh_token_lifetime=3600, session_lifetime=86_400,
    )  # fmt: skip
    assert settings.faults() == []


def operations() -> Iterator[dict[str, Any]]:
    for item in DOCUMENT["paths"].values():
        yield from (each for each in item.values() if isinstance(each, dict) and "operationId" in each)


def body_of(operation: dict[str, Any]) -> list[str]:
    """The members of the body that an operation takes."""
    schema = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    resolved = DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    return list(resolved.get("properties", {}))


def test_the_ways_in_are_told() -> None:
    """Whatever answers with a pair of tokens, or takes a password or a mailed token."""
    found = {
        each["operationId"]
        for each in operations()
        if "TokenPair" in json.dumps(each["responses"].get("200", {}))
        or {"password", "current_password", "new_password", "token"} & set(body_of(each))
    }
    assert sorted(code(row[0])[0] for row in rows("Ways in")) == sorted(found)


def test_who_writes_what_is_told() -> None:
    """Administrators are those of operations that demand the role; fresh is what demands that."""
    told = {code(name)[0]: (who, code(members)) for name, who, members in rows("Who writes what")}
    found = {each["operationId"]: each for each in operations() if body_of(each)}
    assert {name: members for name, (_, members) in told.items()} == {name: body_of(each) for name, each in found.items()}
    for name, (who, _) in told.items():
        assert ("administrators" in who) is ("admin" in found[name].get("x-required-roles", [])), name
        assert ("fresh" in who) is bool(found[name].get("x-fresh-token")), name


def test_every_column_is_classified(app: object) -> None:
    """Once, so that a new column is thought about."""
    assert app
    told = [column for _, protection, columns in rows("Data") for column in code(columns) if protection]
    assert sorted(told) == sorted(f"{each.name}.{column.name}" for each in db.metadata.sorted_tables for column in each.columns)


def primitives() -> set[str]:
    """Whatever of cryptography and randomness the code uses."""
    (algorithms,) = [each.metadata["checks"][0].choices for each in fields(Settings) if each.name == "jwt_algorithm"]
    found = set(algorithms)
    for _, tree in sources():
        found |= imported(tree) & {"argon2", "bcrypt", "werkzeug.security", "secrets", "random"}
        found |= {name for name, _ in calls(tree) if re.fullmatch(r"(hashlib|hmac)\.\w+", name)}
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names = {each.name for each in node.names}
                found |= {f"{node.module}.{name}" for name in names} if node.module in {"hashlib", "hmac"} else set()
                found |= names if re.match(r"cryptography\.hazmat\.primitives(?!\.serialization)", node.module) else set()
    return found


def test_every_primitive_is_told() -> None:
    """A new algorithm, library or hash is a new row; what is used no more leaves the page."""
    assert {name for row in rows("Algorithms and keys") for name in code(row[0])} == primitives()


def test_every_connection_is_told() -> None:
    found = {f"api/{file}" for file, tree in sources() if imported(tree) & NETWORK}
    assert {file for row in rows("Connections") for file in code(row[3])} == found


def test_every_event_is_told() -> None:
    _, _, types = section("Logs").partition("The types of the audit log:")
    assert code(types) == sorted(EVENT_TYPES)


def test_there_are_no_hints_and_no_secret_questions() -> None:
    names = {name for each in DOCUMENT["components"]["schemas"].values() for name in each.get("properties", {})}
    assert "username" in names
    assert [name for name in names if re.search(r"hint|question|answer|reminder", name)] == []


def test_the_once_table_is_what_the_command_prints() -> None:
    """With success in every round of both stores; a new thing is a new row."""
    assert table({thing: {store: [1] * ROUNDS for store in STORES} for thing in THINGS}) in PAGE
    assert (USES, ROUNDS, len(STORES)) == (12, 20, 2)


def test_the_root_says_how_to_report() -> None:
    """And in how many days what is mended, ours and what is of others."""
    for title in ("Reporting a vulnerability", "Supported versions", "Components of others"):
        assert f"\n## {title}\n" in POLICY
    frames = [int(days) for days in re.findall(r"(?:within |\| )(\d+) days", POLICY)]
    assert len(frames) == 7
    assert max(frames) <= 90
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert {"(docs/security.md)", "(SECURITY.md)"} <= set(re.findall(r"\([\w/]+\.md\)", readme))
