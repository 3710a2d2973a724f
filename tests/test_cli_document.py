"""`keycard openapi write` and `check`: the same document is the same bytes, and a stale file is noticed."""

import json
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from api import cli
from tests.conftest import Stores
from tests.test_cli import Run, keycard

FILES = ("openapi.json", "openapi.yaml", "openapi-3.0.json")


@pytest.fixture
def run(app: Flask) -> Run:
    return lambda command, *words: app.test_cli_runner().invoke(command, list(words))


def test_the_document_is_written_the_same_twice(run: Run, tmp_path: Path) -> None:
    for folder in ("one", "two"):
        assert run(cli.openapi_cli, "write", str(tmp_path / folder)).exit_code == 0
    for name in FILES:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_the_document_describes_keycard_and_not_this_deployment(new_app: Any, run: Run, tmp_path: Path) -> None:
    """Another deployment, with other settings, writes the same files."""
    other = new_app(public_url="https://auth.example.com", access_token_lifetime=60, password_policy="nist")
    run(cli.openapi_cli, "write", str(tmp_path / "one"))
    other.test_cli_runner().invoke(cli.openapi_cli, ["write", str(tmp_path / "two")])
    for name in FILES:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_check_accepts_what_write_has_written(run: Run, tmp_path: Path) -> None:
    run(cli.openapi_cli, "write", str(tmp_path))
    assert run(cli.openapi_cli, "check", str(tmp_path)).exit_code == 0


@pytest.mark.parametrize("name", FILES)
def test_check_fails_when_a_description_differs(run: Run, tmp_path: Path, name: str) -> None:
    """And says which file, and the command that mends it."""
    run(cli.openapi_cli, "write", str(tmp_path))
    file = tmp_path / name
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("Opens a session", "Opens a window"), encoding="utf-8")
    assert file.read_text(encoding="utf-8") != text
    result = run(cli.openapi_cli, "check", str(tmp_path))
    assert result.exit_code == 1
    assert result.output == f"not current: {name}. Run: keycard openapi write\n"


def test_check_fails_when_a_file_is_missing(run: Run, tmp_path: Path) -> None:
    assert run(cli.openapi_cli, "check", str(tmp_path)).exit_code == 1


def test_the_document_does_not_depend_on_the_order_of_hashes(tmp_path: Path) -> None:
    """Two processes order their sets differently, and write the same bytes."""
    written = []
    for seed in ("0", "4711"):
        folder = tmp_path / seed
        environment = Stores("sqlite", f"sqlite:///{tmp_path}/keycard.sqlite3", None).environment(tmp_path)
        assert keycard(environment | {"PYTHONHASHSEED": seed}, "openapi", "write", str(folder)).returncode == 0
        written.append(b"".join((folder / name).read_bytes() for name in FILES))
    assert written[0] == written[1]
    assert json.loads((tmp_path / "0" / "openapi.json").read_bytes())["openapi"].startswith("3.1.")


def test_the_script_fails_a_check_of_a_stale_document(tmp_path: Path) -> None:
    environment = Stores("sqlite", f"sqlite:///{tmp_path}/keycard.sqlite3", None).environment(tmp_path)
    ended = keycard(environment, "openapi", "check", str(tmp_path))
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "Run: keycard openapi write" in ended.stderr
