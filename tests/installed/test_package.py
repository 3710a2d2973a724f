"""The wheel, as users install it: it is whole, it needs no checkout, and nothing writes into it."""

import subprocess
import sys
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import pytest
from flask import Flask

import api
from tests.conftest import Stores
from tests.installed.conftest import CHECKOUT
from tests.test_cli import keycard

PACKAGE = Path(api.__file__).parent
WRITING = ("init", "migrate", "revision", "merge", "edit")


def files(folder: Path) -> dict[str, bytes]:
    """The files of a package by their paths, without what Python makes by itself."""
    found = [each for each in folder.rglob("*") if each.is_file() and "__pycache__" not in each.parts]
    return {str(each.relative_to(folder)): each.read_bytes() for each in found}


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return Stores("sqlite", f"sqlite:///{tmp_path}/keycard.sqlite3", None).environment(tmp_path)


@pytest.fixture
def untouched() -> Iterator[None]:
    """Nothing that the test does changes the package or what lies beside it."""
    before, beside = files(PACKAGE), set(PACKAGE.parent.iterdir())
    yield
    assert files(PACKAGE) == before
    assert set(PACKAGE.parent.iterdir()) == beside


def test_what_is_tested_is_the_installed_package() -> None:
    """In this process and in those that it starts."""
    code = "import api; print(api.__file__)"
    started = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert started.stdout.strip() == api.__file__
    assert PACKAGE.is_relative_to(sys.prefix)


def test_the_package_has_every_file_of_the_checkout() -> None:
    """Templates, the list of passwords, migrations, assets, the mark that it has types; and nothing that is gone there."""
    assert files(PACKAGE) == files(CHECKOUT / "api")


def test_the_readme_is_shown(app: Flask) -> None:
    shown = unescape(app.test_client().get("/docs/readme").text)
    assert (CHECKOUT / "README.md").read_text(encoding="utf-8").strip() in shown


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("command", ["write", "check"])
def test_the_document_needs_a_folder_to_be_named(command: str, environment: dict[str, str]) -> None:
    """The default is the checkout's. Here there is none, and beside the package lie the libraries."""
    ended = keycard(environment, "openapi", command)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "Name the FOLDER" in ended.stderr


def test_the_document_is_the_committed_one(environment: dict[str, str], tmp_path: Path) -> None:
    assert keycard(environment, "openapi", "write", str(tmp_path / "written")).returncode == 0
    written = files(tmp_path / "written")
    assert len(written) == 3
    assert all((CHECKOUT / "openapi" / name).read_bytes() == content for name, content in written.items())


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("command", WRITING)
def test_no_command_adds_migrations_to_the_package(command: str, environment: dict[str, str]) -> None:
    ended = keycard(environment, "db", command)
    assert ended.returncode == 2
    assert f"No such command '{command}'" in ended.stderr
