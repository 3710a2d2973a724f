"""What the code of Keycard does not contain: read from the source, for promises that no request could show."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from api import opaque
from api.observability import logs
from tests.actors import Browser

API = Path(__file__).parent.parent / "api"
PAGES = API / "docs"
# What runs a program or code, or makes objects of a caller's choice.
MODULES = {"subprocess", "pty", "pickle", "marshal", "shelve", "dill", "xml", "lxml", "ctypes", "telnetlib", "ldap3", "random"}
CALLS = re.compile(
    r"eval|exec|compile|__import__|input|os\.(system|popen|exec\w+|spawn\w+)|yaml\.(load|unsafe_load|full_load)"
    r"|uuid\.uuid1|(\w+\.)*(from_string|render_template_string|Markup)"
)
# `keycard serve` begins anew as itself, with the arguments that it was given by its operator.
ALLOWED = {"__main__.py": {"os.execv"}}
# Where a statement is made of more than constants, and why that is none of a caller's words.
PIECES = {
    "database.py": "pragmas of SQLite, which are constants",
    "migrations/env.py": "the number and the time-out of a lock, which are constants",
}


def sources() -> Iterator[tuple[str, ast.Module]]:
    for file in sorted(API.rglob("*.py")):
        yield str(file.relative_to(API)), ast.parse(file.read_text(encoding="utf-8"))


def imported(tree: ast.AST) -> set[str]:
    """The modules that a file imports, with those above them."""
    nodes = list(ast.walk(tree))
    named = {each.name for node in nodes if isinstance(node, ast.Import) for each in node.names}
    named |= {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module and not node.level}
    return named | {each.partition(".")[0] for each in named}


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """Every call, with the name of what is called as it is written."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def is_pieced_together(node: ast.expr) -> bool:
    """Whether a text is made of a constant and something else."""
    if isinstance(node, ast.BinOp):
        return isinstance(node.op, ast.Add | ast.Mod)
    formatted = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "format"
    return formatted or isinstance(node, ast.JoinedStr)


def found(tree: ast.Module) -> set[str]:
    """What a file has that none may have."""
    return (imported(tree) & MODULES) | {name for name, _ in calls(tree) if CALLS.fullmatch(name)}


def test_nothing_runs_commands_or_code_of_others() -> None:
    """No shell, no eval, no pickle, no XML, no template but those in files, and no randomness that can be foreseen."""
    assert {file: wrong for file, tree in sources() if (wrong := found(tree))} == ALLOWED


@pytest.mark.parametrize(
    "text",
    ["import subprocess", "from xml.etree import ElementTree", "eval(x)", "os.system(x)", "jinja2.Environment().from_string(x)"],
)
def test_what_does_would_be_noticed(text: str) -> None:
    assert found(ast.parse(text.replace("jinja2.Environment()", "environment")))


def test_no_statement_is_pieced_together() -> None:
    """Values travel beside a statement, never in it."""
    names = re.compile(r"(.*\.)?(execute|executemany|exec_driver_sql|text|SQL|scalars?|run)")
    together = {
        file
        for file, tree in sources()
        for name, call in calls(tree)
        if names.fullmatch(name) and call.args and is_pieced_together(call.args[0])
    }
    assert together == set(PIECES)


def test_no_line_of_the_log_is_pieced_together() -> None:
    """What is logged is a constant, with values beside it: nobody chooses the format."""
    names = re.compile(r"(.*\.)?_?log(ger)?\.(debug|info|warning|error|exception|critical)")
    logged = [(file, call) for file, tree in sources() for name, call in calls(tree) if names.fullmatch(name)]
    assert len(logged) > 10
    assert [file for file, call in logged if not isinstance(call.args[0], ast.Constant)] == []


def test_lines_go_to_standard_error_alone() -> None:
    """There is one handler, our own, which writes there; nothing writes lines into files or sends them elsewhere."""
    trees = list(sources())
    classes = [node for _, tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    assert [node.name for node in classes if "logging.Handler" in map(ast.unparse, node.bases)] == ["LineHandler"]
    others = re.compile(r"(\w+\.)*(File|Stream|Socket|HTTP|SMTP|SysLog|Rotating\w*|Watched\w*|Queue)Handler|.*basicConfig")
    assert [file for file, tree in trees if any(others.fullmatch(name) for name, _ in calls(tree))] == []
    assert [file for file, tree in trees if {"logging.handlers", "logging.config", "syslog"} & imported(tree)] == []
    assert logs.STANDARD_ERROR == 2


def test_what_cannot_be_guessed_has_128_bits() -> None:
    """Mailed tokens have 256, the CSRF value 192; both come from the operating system."""
    assert len({opaque.create() for _ in range(100)}) == 100
    assert re.fullmatch(opaque.PATTERN, opaque.create())
    assert opaque.BYTES * 8 == 256
    sizes = [call.args[0] for _, tree in sources() for name, call in calls(tree) if name.startswith("secrets.token")]
    assert len(sizes) >= 5
    assert {ast.unparse(each) for each in sizes} - {"BYTES"} <= {str(number) for number in range(16, 65)}


def test_the_csrf_value_is_another_in_every_session(app) -> None:
    values = {Browser(app).join().csrf_token for _ in range(5)}
    assert len(values) == 5
    assert all(len(str(each)) >= 32 for each in values)


def test_the_scripts_of_the_pages_write_text_alone() -> None:
    """Nothing becomes HTML or code, no message of another window is heard, and no token is stored."""
    scripts = sorted((PAGES / "static").glob("*.js"))
    assert len(scripts) >= 4
    wrong = re.compile(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|__proto__|postMessage"
        r"|addEventListener\(.message|localStorage|sessionStorage|indexedDB|Object\.assign\(Object\.prototype"
    )
    assert {file.name: wrong.findall(file.read_text()) for file in scripts if wrong.search(file.read_text())} == {}


def test_a_password_field_is_masked_and_may_be_filled() -> None:
    """By hand, by pasting and by a password manager, which `autocomplete` tells what belongs there."""
    inputs = re.findall(r"<input[^>]*password[^>]*>", "".join(each.read_text() for each in PAGES.rglob("*.html")))
    assert inputs
    assert all('type="password"' in each for each in inputs)
    script = (PAGES / "static" / "mailed.js").read_text()
    assert {"current-password", "new-password"} <= set(re.findall(r'autocomplete: "([\w-]+)"', script))
    assert not re.search(r"onpaste|[\"']paste[\"']|autocomplete=.off", "".join(map(Path.read_text, PAGES.rglob("*.[hj]*"))))
