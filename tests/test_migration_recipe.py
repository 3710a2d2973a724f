"""Moving from a tutorial app: the very recipe that docs/migration.md shows, run on the users of such an app."""

import os
import re
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import bcrypt
import httpx
import pytest
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from werkzeug.security import generate_password_hash

from tests.conftest import Stores
from tests.processes.servers import keycard
from tests.test_readme import SCRIPTS, blocks, free_port, matches, page, serving

Hash = Callable[[str], str | bytes]


def flask_bcrypt(password: str) -> bytes:
    """What Flask-Bcrypt's `generate_password_hash` does and returns: bytes, which not everybody decodes."""
    return bcrypt.hashpw(password.encode("utf-8"), bcrypt.gensalt(4))


# Name, password, and how the app hashed it: as the tutorials do, which have changed over the years.
PEOPLE: list[tuple[str, str, Hash]] = [
    ("ada", "correct horse", lambda password: flask_bcrypt(password).decode("utf-8")),
    ("grace", "short", flask_bcrypt),
    ("linus", "Passwörter-ändern", lambda password: flask_bcrypt(password).decode("utf-8")),
    ("margaret", "apollo 11", generate_password_hash),
    ("alan", "🦊 enigma", lambda password: generate_password_hash(password, "pbkdf2:sha256")),
    ("Katherine.J", "orbit", lambda password: generate_password_hash(password, "pbkdf2:sha512:260000", salt_length=8)),
]


@dataclass
class Move:
    """The folder in which the recipe was run, the hashes of the old app, and those that were imported."""

    folder: Path
    environment: dict[str, str]
    old: dict[str, str]
    imported: dict[str, str]


def stored_hashes(folder: Path) -> dict[str, str]:
    with closing(sqlite3.connect(folder / "keycard.sqlite3")) as database:
        return dict(database.execute("SELECT username, password_hash FROM users"))


def make_old_app(folder: Path) -> dict[str, str]:
    """The user table of a tutorial, filled as its registration does; returns the hashes."""
    app = Flask(__name__)
    app.config["SQLALCHEMY_DATABASE_URI"] = f"sqlite:///{folder}/app.db"
    db = SQLAlchemy(app)

    class User(db.Model):  # type: ignore[name-defined, misc]
        id = db.Column(db.Integer, primary_key=True)
        username = db.Column(db.String(64), unique=True)
        email = db.Column(db.String(120), unique=True)
        password_hash = db.Column(db.String(256))

    made = {name: make(password) for name, password, make in PEOPLE}
    with app.app_context():
        db.create_all()
        db.session.add_all(
            User(username=name, email=f"{name.lower()}@example.com", password_hash=made[name]) for name, *_ in PEOPLE
        )
        db.session.commit()
        db.session.remove()
        db.engine.dispose()
    return {name: each.decode() if isinstance(each, bytes) else each for name, each in made.items()}


def follow(recipe: list[tuple[str, str]], folder: Path, environment: dict[str, str]) -> int:
    """Run every block of commands and compare with what the page shows below it; returns how many were compared."""
    compared = 0
    for (language, text), (next_language, shown) in zip(recipe, [*recipe[1:], ("", "")], strict=True):
        if language == "sh":
            done = subprocess.run(
                ["sh", "-e"], input=text, cwd=folder, env=environment, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stderr
            if next_language == "text":
                assert matches(done.stdout, shown), f"{text}\nprinted\n{done.stdout}\ninstead of\n{shown}"
                compared += 1
    return compared


@pytest.fixture(scope="module")
def moved(tmp_path_factory: pytest.TempPathFactory) -> Move:
    """The recipe, followed from its first line to its last."""
    folder = tmp_path_factory.mktemp("moved")
    old = make_old_app(folder)
    text = page("docs/migration.md")
    recipe = blocks(text)
    [code] = [content for language, content in recipe if language == "python"]
    [name] = re.findall(r"Save this as `([\w.]+)`", text)
    (folder / name).write_text(code, encoding="utf-8")
    environment = Stores("sqlite", f"sqlite:///{folder}/keycard.sqlite3", None).environment(folder)
    environment["PATH"] = f"{SCRIPTS}{os.pathsep}{environment['PATH']}"
    keycard(environment, "db", "upgrade")
    assert follow(recipe, folder, environment) == 2
    return Move(folder, environment, old, stored_hashes(folder))


@pytest.fixture(scope="module")
def server(moved: Move) -> Iterator[str]:
    port = free_port()
    with serving([str(SCRIPTS / "keycard"), "serve", "--port", str(port)], port, moved.folder, **moved.environment) as url:
        yield url


def test_everybody_is_there_with_the_hash_that_they_had(moved: Move) -> None:
    assert moved.imported == moved.old
    kinds = {re.match(r"\$2b|scrypt|pbkdf2", each)[0] for each in moved.old.values()}  # type: ignore[index]
    assert kinds == {"$2b", "scrypt", "pbkdf2"}


def test_the_file_with_the_hashes_is_gone(moved: Move) -> None:
    left = {each.name for each in moved.folder.iterdir()}
    assert {"app.db", "export_users.py"} <= left
    assert not {name for name in left if name.startswith("users.")}


def test_everybody_signs_in_with_the_old_password_and_has_argon2id_afterwards(moved: Move, server: str) -> None:
    """Not with a wrong one; and after that with the same password again, now against the new hash."""
    for name, password, _ in PEOPLE:
        for given, status in ((password + "!", 401), (password, 200), (password + "!", 401)):
            answer = httpx.post(f"{server}/v1/auth/login", json={"username": name, "password": given})
            assert answer.status_code == status, (name, answer.text)
        assert stored_hashes(moved.folder)[name].startswith("$argon2id$")
        pair = httpx.post(f"{server}/v1/auth/login", json={"username": name, "password": password}).json()
        me = httpx.get(f"{server}/v1/users/me", headers={"Authorization": f"Bearer {pair['access_token']}"}).json()
        assert (me["username"], me["email"], me["roles"]) == (name, f"{name.lower()}@example.com", ["user"])
