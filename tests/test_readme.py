"""The README and the pages under docs/ say nothing that is not so: commands, tour, tables, snippets, links."""

import configparser
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import click
import httpx
import jwt
import pytest

from api import cli
from api.config import Settings, load_settings
from api.sessions import comparing, heartbeat
from api.sessions.comparing import COMPLETE
from api.sessions.dead_tokens import PREFIX
from api.sessions.schemas import DELIVERIES
from tests.conftest import IN_CI

ROOT = Path(__file__).parent.parent
# Where the pages for people are. Libraries have theirs in other folders.
FOLDERS = ("", "docs/", "docs/decisions/", "openapi/", "clients/", "clients/*/", "clients/examples/*/", "tests/benchmarks/")
PAGES = sorted({found.relative_to(ROOT) for folder in FOLDERS for found in ROOT.glob(f"{folder}*.md")})
SCRIPTS = Path(sys.executable).parent
READY_SECONDS = 60
PRINTED_ADDRESS = "127.0.0.1:8000"


def page(name: str) -> str:
    """The text of a page, by its path in the repository."""
    return (ROOT / name).read_text(encoding="utf-8")


def section(title: str, text: str) -> str:
    """The part of a text below a heading, up to the next of the same level."""
    return text.split(f"\n## {title}\n")[1].partition("\n## ")[0]


def blocks(text: str) -> list[tuple[str, str]]:
    """The fenced blocks of a text: language and content."""
    return re.findall(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def tox_ini() -> configparser.ConfigParser:
    found = configparser.ConfigParser(interpolation=None)
    found.read(ROOT / "tox.ini", encoding="utf-8")
    return found


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@contextmanager
def serving(command: list[str], port: int, folder: Path, **environment: str) -> Iterator[str]:
    """Run a server in a folder until it is ready; stop it in the end. Yields its URL."""
    url = f"http://127.0.0.1:{port}"
    plain = {"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONPATH": str(folder), **environment}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, env=plain, stdout=log, stderr=log)
        try:
            deadline = time.monotonic() + READY_SECONDS
            while not _answers(f"{url}/health/ready"):
                if process.poll() is not None or time.monotonic() > deadline:
                    pytest.fail(f"{command} is not ready: {(folder / 'log').read_text()}")
                time.sleep(0.05)
            yield url
        finally:
            process.terminate()
            process.wait(timeout=30)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - our own server
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server as the first command starts it. Only the port differs, and with it the public URL."""
    port = free_port()
    command = [str(SCRIPTS / "keycard"), "serve", "--port", str(port)]
    with serving(command, port, tmp_path_factory.mktemp("server"), KEYCARD_PUBLIC_URL=f"http://127.0.0.1:{port}") as url:
        yield url


class Shell:
    """A POSIX shell that is given one line after the other."""

    MARK = "--end of output--"

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            ["sh"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def __enter__(self) -> "Shell":
        return self

    def __exit__(self, *_: Any) -> None:
        self.process.communicate(timeout=10)

    def run(self, line: str) -> str:
        """Run a line and return what it printed."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(f"{line}\necho '{self.MARK}'\n")
        self.process.stdin.flush()
        printed = ""
        while not printed.endswith(f"{self.MARK}\n"):
            read = self.process.stdout.readline()
            assert read, f"the shell died of: {line}\n{printed}"
            printed += read
        return printed.removesuffix(f"{self.MARK}\n")


def matches(printed: str, shown: str) -> bool:
    """Whether a text is the one shown, in which … stands for anything on its line."""
    pattern = "[^\n]+?".join(re.escape(part) for part in shown.strip().split("…"))
    return re.fullmatch(pattern, printed.strip()) is not None


def test_the_tour_prints_what_the_readme_shows(server: str) -> None:
    """Line by line, in a plain shell, against a server that nobody has used before."""
    if not shutil.which("curl"):
        (pytest.fail if IN_CI else pytest.skip)("the tour needs curl")
    tour = blocks(section("A tour in five minutes", page("README.md")).replace(f"http://{PRINTED_ADDRESS}", server))
    compared = 0
    with Shell() as shell:
        for (language, block), (next_language, shown) in zip(tour, [*tour[1:], ("", "")], strict=True):
            if language != "sh":
                continue
            printed = "".join(shell.run(line) for line in block.splitlines())
            expected = shown if next_language == "text" else ""
            assert matches(printed, expected), f"{block}\nprinted\n{printed}\ninstead of\n{expected}"
            compared += bool(expected)
    assert compared == 9


def test_a_tour_that_printed_something_else_would_be_noticed() -> None:
    assert matches('{"id":"7"}\n200\n', '{"id":"…"}\n200\n')
    assert not matches('{"id":"7"}\n401\n', '{"id":"…"}\n200\n')
    assert not matches("", "200\n")
    assert not matches("curl: not found\n", "")


def test_the_snippet_for_other_services_tells_good_tokens_from_bad_ones(server: str) -> None:
    """It takes an access token, and neither a refresh token nor a changed one."""
    account = {"username": "grace", "password": "Correct-Horse-7"}
    httpx.post(f"{server}/v1/auth/register", json=account)
    pair = httpx.post(f"{server}/v1/auth/login", json=account).json()
    [(_, snippet)] = blocks(page("docs/verifying-tokens.md"))
    names: dict[str, Any] = {}
    exec(snippet.replace(f"http://{PRINTED_ADDRESS}", server), names)  # noqa: S102 - it is ours
    assert names["verify"](pair["access_token"])["sid"] == pair["session_id"]
    head, payload, signature = pair["access_token"].split(".")
    for bad in (pair["refresh_token"], f"{head}.{payload}.{signature[::-1]}", "nonsense"):
        with pytest.raises(jwt.PyJWTError):
            names["verify"](bad)


def shown_default(value: Any) -> str:
    if value is None or value == ():
        return "-"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def test_the_table_of_settings_is_the_class() -> None:
    """Every setting, in order, with its meaning, unit and default; and none that does not exist."""
    expected = [
        f"| `KEYCARD_{each.name.upper()}` | {each.metadata['doc']} | {shown_default(each.default)} |" for each in fields(Settings)
    ]
    assert re.findall(r"^\| `KEYCARD_.*$", page("docs/settings.md"), re.MULTILINE) == expected


def test_the_production_settings_shown_are_accepted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    shown = re.findall(r"^export (KEYCARD_\w+)=(\S+)$", page("docs/production.md"), re.MULTILINE)
    for name, value in shown:
        monkeypatch.setenv(name, value)
    assert len(shown) == 6
    assert load_settings().production


def test_the_two_commands_are_those_that_ci_and_tox_run() -> None:
    """CI calls the test command as it is printed, and what the first command ends with is tox's `serve`."""
    (_, run), (_, test), *_ = blocks(page("README.md"))
    assert test in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    tox = tox_ini()
    assert run.strip().endswith(f".venv/bin/{tox['testenv:serve']['commands'].replace(' {posargs}', '')}")


def test_every_environment_of_tox_is_listed() -> None:
    """Those that `tox` runs, in its order and with the time that each takes; then the others."""
    tox = tox_ini()
    run = re.split(r",\s*", tox["tox"]["env_list"])
    others = {name.removeprefix("testenv:") for name in tox.sections() if name.startswith("testenv:")} - set(run)
    told = section("How long each takes", page("CONTRIBUTING.md"))
    assert re.findall(r"^\| `tox run -e ([\w-]+)` \| .+ \| \d+ (?:s|min) \|$", told, re.MULTILINE) == run
    assert set(re.findall(r"^\| `tox run -e ([\w-]+)` \| [^|]+ \|$", told, re.MULTILINE)) == others


def test_every_environment_of_tox_that_is_named_exists() -> None:
    """On any page, with or without arguments."""
    tox = tox_ini()
    known = set(re.split(r",\s*", tox["tox"]["env_list"])) | {name.removeprefix("testenv:") for name in tox.sections()}
    named = {name for each in PAGES for name in re.findall(r"tox run -e\s+([\w-]+)", page(str(each)))}
    assert named - known == set()


def test_every_file_that_is_named_exists() -> None:
    """In CONTRIBUTING: where the parts of the house are, and what to run."""
    named = re.findall(r"(?<![\w./-])((?:api|tests)/[\w./]+)", page("CONTRIBUTING.md"))
    assert [name for name in named if not (ROOT / name).exists()] == []
    assert len(set(named)) > 20


def test_the_test_that_is_shown_is_found() -> None:
    """One line of CONTRIBUTING runs a single test; it must choose some."""
    ((file, words),) = re.findall(r"pytest -n 0 (\S+) -k (\w+)", page("CONTRIBUTING.md"))
    assert re.search(rf"^def test_\w*{words}", page(file), re.MULTILINE)


def test_the_readme_is_short() -> None:
    """What is more than the tour and links has a page of its own."""
    assert len(page("README.md").splitlines()) < 250


def test_every_command_shown_exists() -> None:
    """Each `keycard ...` of the README and its pages names a command, and options that it has."""
    text = "\n".join(page(name) for name in map(str, PAGES) if name != "CHANGELOG.md" and "decisions" not in name)
    shown = re.findall(r"(?:^|[`/ ])keycard ((?:serve|db|users|keys|mail|openapi|purge|doctor)\b[^`\n]*)", text, re.MULTILINE)
    groups: dict[str, click.Command] = {
        "serve": cli.serve,
        "users": cli.users_cli,
        "keys": cli.keys_cli,
        "mail": cli.mail_cli,
        "openapi": cli.openapi_cli,
        "purge": cli.purge,
        "doctor": cli.doctor,
    }
    for words in (text.split() for text in shown if not text.startswith("db upgrade")):
        command = groups[words.pop(0)]
        if isinstance(command, click.Group):
            command = command.commands[words.pop(0)]
        options = {name for parameter in command.params for name in parameter.opts} | {"--help"}
        unknown = {word for word in words if word.startswith("--")} - options
        assert not unknown, f"{command.name} has no {unknown}"
    assert len(shown) > 30


def test_the_keys_of_the_mirror_are_those_it_writes() -> None:
    shown = re.findall(r"^\| `(keycard:[^`]+)`", page("docs/verifying-tokens.md"), re.MULTILINE)
    assert shown == [*(f"{PREFIX}{name}" for name in ("sid:<sid>", "gen:<sid>", "sub:<sub>")), COMPLETE]


def test_the_times_of_the_mirror_are_those_it_keeps() -> None:
    text = page("docs/verifying-tokens.md")
    assert f"Every {heartbeat.INTERVAL_SECONDS:.0f} seconds one process compares" in text
    assert f"request `/health/ready` every {heartbeat.INTERVAL_SECONDS:.0f} seconds" in text
    assert f"accepted for {comparing.LIFE_SECONDS:.0f} seconds at most" in text
    assert f"lives for {comparing.LIFE_SECONDS:.0f} seconds" in text


def test_the_deliveries_shown_are_those_there_are() -> None:
    assert re.findall(r"^\| `(\w+)` \|", page("docs/delivery.md"), re.MULTILINE) == ["delivery", *DELIVERIES]


def anchors(text: str) -> set[str]:
    """The anchors of a page: its headings, as GitHub and GitLab write them."""
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    titles = re.findall(r"^#+ (.+)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}


def broken_links(name: Path) -> list[str]:
    """The links of a page whose file or heading does not exist. Links to other hosts are not followed."""
    text = page(str(name))
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        path, _, anchor = target.partition("#")
        file = (ROOT / name).parent / path if path else ROOT / name
        if not target.startswith("https://") and (
            not file.exists() or (anchor and anchor not in anchors(file.read_text(encoding="utf-8")))
        ):
            broken.append(target)
    return broken


@pytest.mark.parametrize("name", PAGES, ids=str)
def test_every_link_leads_somewhere(name: Path) -> None:
    """To a file that exists, and to a heading that is in it."""
    assert broken_links(name) == []


def test_every_page_that_code_names_exists() -> None:
    """In messages, docstrings and comments: the page, and the heading where one is named."""
    named = set()
    for pattern in ("api/**/*.py", "compose.yaml", "Dockerfile", "deploy/*", "openapi/lint/*.yaml"):
        for file in ROOT.glob(pattern):
            named |= set(re.findall(r"docs/(?:[\w/-]+\.md(?:#[\w-]+)?|decisions/\d{4})", file.read_text(encoding="utf-8")))
    for path, _, anchor in (name.partition("#") for name in named):
        [file] = ROOT.glob(f"{path}*")
        assert not anchor or anchor in anchors(file.read_text(encoding="utf-8")), path
    assert {"docs/settings.md", "docs/production.md#hashing"} <= named


def test_every_page_can_be_reached() -> None:
    """From the README, link by link; a link to a folder leads to all of its pages."""
    reached, new = set(), {Path("README.md")}
    while new:
        reached |= new
        targets = {
            Path(os.path.normpath(name.parent / target.partition("#")[0]))
            for name in new
            if name.suffix == ".md"
            for target in re.findall(r"\]\(([^)#\s]+)", page(str(name)))
        }
        folders = {each for name in targets for each in PAGES if (ROOT / name).is_dir() and each.parent == name}
        new = (targets | folders) & set(PAGES) - reached
    assert set(PAGES) - reached == set()
