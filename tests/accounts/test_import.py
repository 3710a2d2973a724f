"""`keycard users import`: who comes in, who is rejected and why, and that it can be stopped anywhere and run again."""

import csv
import json
import os
import stat
import subprocess
import tracemalloc
import uuid
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bcrypt
import psycopg
import pytest
from click.testing import Result
from flask import Flask
from sqlalchemy import func, select, text
from sqlalchemy.engine import make_url

from api import create_app
from api.access import UserRole
from api.accounts.cli import import_users_command
from api.accounts.import_file import MAX_LINE_BYTES, Rejected, UnusableFileError, read_users
from api.accounts.importing import BATCH, import_users
from api.audit import AuditEvent
from api.database import db, fetch_all, fetch_one
from api.docs.demo import ACCOUNTS
from api.users import User
from tests.actors import PASSWORD, Bearer, new_name
from tests.conftest import Stores
from tests.processes.servers import KEYCARD, eventually, keycard, simultaneously

HASH = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
OTHER_HASH = bcrypt.hashpw(b"Battery-Staple-8", bcrypt.gensalt(4)).decode()
TAKEN = "username: Taken by another account."
Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def app(new_app: Callable[..., Flask]) -> Flask:
    """An app of this file's own, because it looks at everybody there is."""
    return new_app()


@dataclass
class Import:
    """The command, in the app, and what it left behind."""

    app: Flask
    file: Path

    @property
    def report(self) -> Path:
        return self.file.with_name(f"{self.file.name}.rejected.jsonl")

    def run(self, *words: str) -> Result:
        return self.app.test_cli_runner().invoke(import_users_command, [str(self.file), *words])

    def rejected(self) -> Rows:
        return [json.loads(line) for line in self.report.read_text(encoding="utf-8").splitlines()]


def cell(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return " ".join(value) if isinstance(value, list) else str(value or "")


def write(file: Path, rows: Rows) -> Path:
    """Write rows as the suffix says, the columns in the order in which they first appear."""
    if file.suffix == ".jsonl":
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return file
    with file.open("w", newline="", encoding="utf-8") as opened:
        writer = csv.writer(opened)
        writer.writerow(columns := list(dict.fromkeys(name for row in rows for name in row)))
        writer.writerows([cell(row.get(name)) for name in columns] for row in rows)
    return file


@pytest.fixture(params=[".csv", ".jsonl"])
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return tmp_path / f"users{request.param}"


def row(**values: Any) -> dict[str, Any]:
    return {"username": new_name(), "password_hash": HASH, **values}


def counts(result: Result) -> tuple[int, int, int]:
    """Imported, already there, rejected; as the summary says."""
    words = result.stdout.split(";")[0].replace(",", "").split()
    imported, present, rejected = (int(word) for word in words if word.isdigit())
    return imported, present, rejected


def content(app: Flask) -> list[tuple[Any, ...]]:
    """Everything of everybody, but for the times of the import."""
    with app.app_context():
        roles = fetch_all(select(UserRole.user_id, UserRole.role))
        events = fetch_all(select(AuditEvent.subject_id).where(AuditEvent.type == "import"))
        found = fetch_all(
            select(
                User.id, User.username, User.username_key, User.email, User.email_key, User.email_verified_at.is_not(None),
                User.display_name, User.password_hash, User.status, User.version, User.epoch,
            )
        )  # fmt: skip
    held: dict[uuid.UUID, set[str]] = {}
    for user_id, role in roles:
        held.setdefault(user_id, set()).add(role)
    told = [event.subject_id for event in events]
    return sorted((*map(str, user), sorted(held.get(user.id, ())), told.count(user.id)) for user in found)


def test_everything_a_row_says_is_imported(app: Flask, file: Path) -> None:
    name = new_name()
    full = row(
        username=f"{name}.Ada",
        email=f"{name}@Example.com",
        email_verified=True,
        display_name="Ada, “Countess” of Lovelace",
        roles=["user", "editor"],
        created_at="2019-05-06T07:08:09.123456+02:00",
        id=str(uuid.uuid4()),
        status="active",
    )
    result = Import(app, write(file, [full])).run()
    assert (result.exit_code, counts(result)) == (0, (1, 0, 0)), result.output
    ada = Bearer(app, full["username"])
    assert ada.login(username=full["email"]).status_code == 200
    assert ada.login().status_code == 200
    me = ada.get("/v1/users/me").json
    assert me is not None
    assert {member: me[member] for member in me if member != "updated_at"} == {
        "id": full["id"],
        "username": full["username"],
        "display_name": full["display_name"],
        "email": full["email"],
        "email_verified": True,
        "pending_email": None,
        "roles": ["editor", "user"],
        "status": "active",
        "created_at": "2019-05-06T05:08:09.123456+00:00",
    }


def test_a_row_needs_no_more_than_a_name_and_a_hash(app: Flask, file: Path) -> None:
    """An empty cell, and null, is nothing; an address is not proven by being in a file."""
    person = row(email=f"{new_name()}@example.com", display_name=None, roles=None, status=None, created_at=None, id=None)
    assert Import(app, write(file, [person])).run().exit_code == 0
    ada = Bearer(app, person["username"])
    assert ada.login(username=person["email"]).status_code == 401
    assert ada.login().status_code == 200
    me = ada.get("/v1/users/me").json
    assert me is not None
    assert (me["display_name"], me["email_verified"], me["roles"], me["status"]) == (None, False, ["user"], "active")


def test_somebody_suspended_is_imported_suspended(app: Flask, file: Path) -> None:
    person = row(status="suspended")
    assert Import(app, write(file, [person])).run().exit_code == 0
    assert Bearer(app, person["username"]).login().json["type"] == "/problems/account-suspended"


def test_every_import_is_in_the_log(app: Flask, file: Path) -> None:
    """Done by nobody who is signed in, on the command line."""
    person = row(id=str(uuid.uuid4()))
    Import(app, write(file, [person])).run()
    with app.app_context():
        [event] = fetch_all(select(AuditEvent.type, AuditEvent.actor_id).where(AuditEvent.subject_id == uuid.UUID(person["id"])))
    assert tuple(event) == ("import", None)


@pytest.mark.parametrize("roles", ["user,editor", "user editor", " editor,  user "])
def test_roles_in_csv_are_separated_by_commas_or_spaces(app: Flask, tmp_path: Path, roles: str) -> None:
    person = row(roles=roles)
    assert Import(app, write(tmp_path / "users.csv", [person])).run().exit_code == 0
    ada = Bearer(app, person["username"])
    ada.login()
    assert ada.get("/v1/users/me").json["roles"] == ["editor", "user"]


def test_a_byte_order_mark_other_line_ends_and_blank_lines_are_no_matter(app: Flask, file: Path) -> None:
    """As spreadsheets write them."""
    write(file, [row(), row()])
    lines = file.read_text(encoding="utf-8").splitlines()
    file.write_bytes(b"\xef\xbb\xbf" + "\r\n".join([*lines[:-1], "", "  ", lines[-1], ""]).encode())
    result = Import(app, file).run()
    assert (result.exit_code, counts(result)) == (0, (2, 0, 0)), result.output


BAD_VALUES = [
    ({"username": "x"}, "username: Must be 3 to 80 characters long."),
    ({"username": "\u0430da-lovelace"}, "username: Must be letters"),
    ({"username": None}, "username: Missing data"),
    ({"password_hash": None}, "password_hash: Missing data"),
    ({"password_hash": "Plain-Secret-7"}, "password_hash: Must be 20 to 255 characters long. Must be a hash of"),
    ({"password_hash": HASH.replace("$04$", "$31$")}, "password_hash: Must be a hash of"),
    ({"password_hash": HASH[:-1]}, "password_hash: Must be a hash of"),
    ({"email": "nowhere"}, "email: Must be an e-mail address."),
    ({"email_verified": True}, "email_verified: There is no address"),
    ({"email_verified": "yes"}, "email_verified: Not a valid boolean."),
    ({"email_verified": "1"}, "email_verified: Not a valid boolean."),
    ({"display_name": "x" * 81}, "display_name: Must be 1 to 80"),
    ({"display_name": "a\u0007b"}, "display_name: Must not contain control characters."),
    ({"roles": ["Not-A-Role"]}, "roles: Must be lower-case"),
    ({"roles": [f"role-{number}" for number in range(21)]}, "roles: Must be at most 20 roles."),
    ({"status": "deleted"}, "status: Must be active or suspended."),
    ({"created_at": "yesterday"}, "created_at: Not a valid"),
    ({"created_at": "2019-05-06T07:08:09"}, "created_at: Not a valid"),
    ({"created_at": "2999-01-01T00:00:00Z"}, "created_at: Must be between 1970 and now."),
    ({"created_at": "0001-01-01T00:00:00Z"}, "created_at: Must be between 1970 and now."),
    ({"id": "7"}, "id: Not a valid UUID."),
    ({"id": "{7C1B2A2E-8C1D-4C55-9B0E-5D8F6A7B9C01}"}, "id: Not a valid UUID."),
    ({"id": str(ACCOUNTS[0].id)}, "id: Reserved for a demo account."),
]


def test_a_bad_value_rejects_its_row_and_no_other(app: Flask, file: Path) -> None:
    """With the line, the name if it is one, and the reason; what was in the row is not repeated."""
    rows = [row(**values) for values, _ in BAD_VALUES]
    good = [row(), row()]
    attempt = Import(app, write(file, [good[0], *rows, good[1]]))
    result = attempt.run()
    assert (result.exit_code, counts(result)) == (1, (2, 0, len(rows))), result.output
    rejected = attempt.rejected()
    first = 2 if file.suffix == ".jsonl" else 3
    assert [each["line"] for each in rejected] == list(range(first, first + len(rows)))
    for found, (values, reason), bad in zip(rejected, BAD_VALUES, rows, strict=True):
        assert found["reason"].startswith(reason)
        assert found["username"] == (None if "username" in values else bad["username"])
    assert [Bearer(app, each["username"]).login().status_code for each in good] == [200, 200]
    for secret in ("Plain-Secret-7", HASH[7:], "$2b$"):
        assert secret not in attempt.report.read_text(encoding="utf-8") + result.output


BAD_MEMBERS = [
    ({"username": 7}, "username: Not a valid string."),
    ({"email_verified": 1}, "email_verified: Not a valid boolean."),
    ({"email_verified": "true"}, "email_verified: Not a valid boolean."),
    ({"roles": "user"}, "roles: Not a valid list."),
    ({"roles": [1]}, "roles: Not a valid string."),
    ({"roles": {"user": True}}, "roles: Not a valid list."),
    ({"created_at": 1557126489}, "created_at: Not a valid"),
    ({"display_name": ["Ada"]}, "display_name: Not a valid string."),
    ({"password_hash": [HASH]}, "password_hash: Not a valid string."),
    ({"email": f"{new_name()}\u0000@example.com"}, "email: Must be an e-mail address."),
]


def test_nothing_in_json_is_taken_for_something_else(app: Flask, tmp_path: Path) -> None:
    attempt = Import(app, write(tmp_path / "users.jsonl", [row(**values) for values, _ in BAD_MEMBERS]))
    assert attempt.run().exit_code == 1
    for found, (_, reason) in zip(attempt.rejected(), BAD_MEMBERS, strict=True):
        assert found["reason"].startswith(reason)


BAD_LINES = {
    ".csv": {
        b"ada": "The line has 1 cells, the header 2.",
        b"ada,x,y": "The line has 3 cells, the header 2.",
        b'"ada,x': "The line is not valid CSV.",
        b'"a"b,x': "The line is not valid CSV.",
        b"ada\r,x": "The line is not valid CSV.",
        b"ad\xe9,x": "The line is not valid UTF-8.",
        b"x" * (MAX_LINE_BYTES + 1): f"The line is longer than {MAX_LINE_BYTES} bytes.",
        b"x" * (3 * MAX_LINE_BYTES): f"The line is longer than {MAX_LINE_BYTES} bytes.",
    },
    ".jsonl": {
        b"ada": "The line is not valid JSON.",
        b'{"username": "ada"': "The line is not valid JSON.",
        b'{"username": "ada"} {}': "The line is not valid JSON.",
        b'["ada"]': "The line is not a JSON object.",
        b"null": "The line is not a JSON object.",
        b'{"username": "ada", "username": "eve"}': "An object has two members of the same name.",
        b'{"username": NaN}': "NaN and Infinity are not JSON.",
        b'{"username": "\\ud800"}': "A string holds half of a surrogate pair.",
        b'{"username": "ad\xe9"}': "The line is not valid UTF-8.",
        b"[" * 50_000: "The line is nested deeper than 32.",
        b"9" * 5_000: "The line is not valid JSON.",
        b"x" * (3 * MAX_LINE_BYTES): f"The line is longer than {MAX_LINE_BYTES} bytes.",
    },
}


def test_a_line_that_cannot_be_read_is_rejected_and_the_next_is_read(app: Flask, file: Path) -> None:
    """An open quote, for one, does not swallow what follows."""
    good = row()
    *start, last = write(file, [good]).read_bytes().splitlines()
    start = start or [json.dumps(row()).encode()]
    bad = BAD_LINES[file.suffix]
    file.write_bytes(b"\n".join([*start, *bad, last]))
    attempt = Import(app, file)
    result = attempt.run()
    assert (result.exit_code, counts(result)[2]) == (1, len(bad)), result.output
    assert Bearer(app, good["username"]).login().status_code == 200
    expected = [{"line": number, "username": None, "reason": reason} for number, reason in enumerate(bad.values(), 2)]
    assert attempt.rejected() == expected


def everybody(app: Flask) -> int:
    with app.app_context():
        return len(fetch_all(select(User.id)))


def test_an_unknown_column_is_refused_before_anything_is_written(app: Flask, file: Path) -> None:
    """Wherever it stands first: in JSON that may be the last line."""
    before = everybody(app)
    attempt = Import(app, write(file, [*(row() for _ in range(BATCH + 1)), row(fullname="Ada", is_admin=True)]))
    result = attempt.run()
    assert result.exit_code == 1
    assert "Unknown columns: " in result.stderr
    assert "fullname" in result.stderr
    assert "is_admin" in result.stderr
    assert everybody(app) == before
    assert not attempt.report.exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Missing columns: username, password_hash. The first line must name the columns."),
        ("username,email\n", "Missing columns: password_hash."),
        ("username,password_hash,email,email\n", "Columns there twice: email."),
        ("Username,password_hash\n", "Unknown columns: Username. Known are: username, password_hash, email,"),
        (f"ada,ada@example.com,{HASH}\n", "Unknown columns: ada, (not a name), (not a name). Known are:"),
        ("username;password_hash\n", "Unknown columns: (not a name). Known are:"),
        ('"username,password_hash\n', "The first line must name the columns. The line is not valid CSV."),
        (",".join(f"c{number}" for number in range(1000)), "Unknown columns: c0, c1, c2, c3, c4, c5, c6, c7, c8, c9, .... Known"),
    ],
    ids=["empty", "missing", "twice", "case", "no header", "semicolons", "broken", "many"],
)
def test_a_csv_without_a_fitting_header_is_refused(app: Flask, tmp_path: Path, text: str, message: str) -> None:
    """Its first line is not repeated, because that may be somebody's data."""
    file = tmp_path / "users.csv"
    file.write_text(text, encoding="utf-8")
    result = Import(app, file).run()
    assert result.exit_code == 1
    assert f"Error: {message}" in result.stderr
    assert HASH not in result.output


def test_an_empty_json_file_holds_nobody(app: Flask, tmp_path: Path) -> None:
    file = tmp_path / "users.jsonl"
    file.touch()
    result = Import(app, file).run()
    assert (result.exit_code, counts(result)) == (0, (0, 0, 0)), result.output


def test_of_two_rows_that_want_the_same_the_first_has_it(app: Flask, file: Path) -> None:
    """A name in another case, an address that only one can have proven, an id; in one batch and further apart."""
    name, email, id_ = new_name("ada"), f"{new_name()}@example.com", str(uuid.uuid4())
    firsts = [row(username=name), row(email=email, email_verified=True), row(id=id_)]
    seconds = [
        row(username=name.upper(), password_hash=OTHER_HASH),
        row(email=email.upper(), email_verified=True),
        row(id=id_),
    ]
    others = [row() for _ in range(BATCH)]
    attempt = Import(app, write(file, [*firsts, *seconds, *others, *seconds]))
    result = attempt.run()
    assert (result.exit_code, counts(result)) == (1, (3 + BATCH, 0, 6)), result.output
    reasons = [TAKEN, "email: Proven by another account.", "id: Taken by another account."]
    assert [each["reason"] for each in attempt.rejected()] == reasons * 2
    assert Bearer(app, name).login().status_code == 200


def test_a_row_that_is_there_twice_is_imported_once(app: Flask, file: Path) -> None:
    rows = [row(), row(id=str(uuid.uuid4()))]
    result = Import(app, write(file, [*rows, *rows])).run()
    assert (result.exit_code, counts(result)) == (0, (2, 2, 0)), result.output


def test_two_may_have_an_address_that_neither_has_proven(app: Flask, file: Path) -> None:
    email = f"{new_name()}@example.com"
    result = Import(app, write(file, [row(email=email), row(email=email), row(email=email, email_verified=True)])).run()
    assert (result.exit_code, counts(result)) == (0, (3, 0, 0)), result.output


def test_somebody_who_is_there_already_is_not_touched(app: Flask, file: Path) -> None:
    """Neither by a row with their name, nor by one that says it has their id."""
    ada = Bearer(app).join()
    attempt = Import(app, write(file, [row(username=ada.name.upper()), row(id=ada.id)]))
    assert (attempt.run().exit_code, [each["reason"] for each in attempt.rejected()]) == (
        1,
        [TAKEN, "id: Taken by another account."],
    )
    assert ada.get("/v1/users/me").status_code == 200
    assert ada.login().status_code == 200


def test_importing_again_changes_nothing(app: Flask, file: Path) -> None:
    """Also when somebody has signed in since, and so has another hash; with ids in the file and without."""
    rows = [row(), row(id=str(uuid.uuid4())), row(), row(roles=["editor"])]
    attempt = Import(app, write(file, rows))
    assert counts(attempt.run()) == (4, 0, 0)
    for person in rows[:2]:
        assert Bearer(app, person["username"]).login().status_code == 200
    before = content(app)
    again = attempt.run()
    assert (again.exit_code, counts(again)) == (0, (0, 4, 0)), again.output
    assert content(app) == before


def test_somebody_who_was_deleted_does_not_come_back(app: Flask, file: Path) -> None:
    """Neither by the same file, nor by another row of that name."""
    rows = [row(), row(id=str(uuid.uuid4()))]
    attempt = Import(app, write(file, rows))
    attempt.run()
    for person in rows:
        ada = Bearer(app, person["username"])
        ada.login()
        assert ada.delete("/v1/users/me").status_code == 204
    assert counts(attempt.run()) == (0, 2, 0)
    others = Import(app, write(file, [each | {"password_hash": OTHER_HASH, "id": None} for each in rows]))
    assert counts(others.run()) == (0, 0, 2)
    assert [each["reason"] for each in others.rejected()] == [TAKEN] * 2


def test_a_mended_row_is_imported_by_running_again(app: Flask, file: Path) -> None:
    """And the report of the run before is gone with the last reason for it."""
    good, bad = row(), row(email="nowhere")
    attempt = Import(app, write(file, [good, bad]))
    assert counts(attempt.run()) == (1, 0, 1)
    assert attempt.report.exists()
    write(file, [good, bad | {"email": "somewhere@example.com"}])
    assert counts(attempt.run()) == (1, 1, 0)
    assert not attempt.report.exists()


def test_check_says_what_would_happen_and_writes_no_user(app: Flask, file: Path) -> None:
    """Also of rows that are in each other's way far apart in the file."""
    present, twice = row(), row(email=f"{new_name()}@example.com", email_verified=True)
    Import(app, write(file, [present])).run()
    rows = [
        present,
        twice,
        row(email="nowhere"),
        *(row() for _ in range(BATCH)),
        twice,
        twice | {"password_hash": OTHER_HASH},
        row(email=twice["email"], email_verified=True),
    ]
    attempt = Import(app, write(file, rows))
    before = content(app)
    checked = attempt.run("--check")
    said = (checked.exit_code, counts(checked), attempt.rejected())
    assert content(app) == before
    assert "would be imported" in checked.stdout
    done = attempt.run()
    assert said == (done.exit_code, counts(done), attempt.rejected())
    assert said[:2] == (1, (BATCH + 1, 2, 3))


def test_the_report_is_for_its_owner_and_where_one_wants_it(app: Flask, file: Path, tmp_path: Path) -> None:
    attempt = Import(app, write(file, [row(email="nowhere")]))
    elsewhere = tmp_path / "elsewhere"
    result = attempt.run("--report", str(elsewhere))
    assert result.exit_code == 1
    assert str(elsewhere) in result.stderr
    assert stat.S_IMODE(elsewhere.stat().st_mode) == 0o600
    assert len(elsewhere.read_text().splitlines()) == 1
    assert not attempt.report.exists()


def test_the_report_does_not_replace_the_file_itself(app: Flask, file: Path, tmp_path: Path) -> None:
    attempt = Import(app, write(file, [row(email="nowhere")]))
    (tmp_path / "link").symlink_to(file)
    before = file.read_bytes()
    for report in (file, tmp_path / "link"):
        assert attempt.run("--report", str(report)).exit_code == 2
    assert file.read_bytes() == before


def test_a_report_that_cannot_be_written_stops_the_import_before_it_begins(app: Flask, file: Path, tmp_path: Path) -> None:
    before = everybody(app)
    result = Import(app, write(file, [row()])).run("--report", str(tmp_path / "nowhere" / "report"))
    assert result.exit_code == 1
    assert "Could not open file" in result.stderr
    assert everybody(app) == before


@pytest.mark.parametrize("name", ["users.xlsx", "users", "users.json"])
def test_another_kind_of_file_is_refused(app: Flask, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("username,password_hash\n")
    result = Import(app, tmp_path / name).run()
    assert result.exit_code == 2
    assert "Must end in .csv or .jsonl." in result.stderr


@pytest.fixture
def unmigrated(new_stores: Callable[[], Stores], tmp_path: Path) -> Iterator[Flask]:
    """An app whose database has no tables."""
    app = create_app(new_stores().settings(tmp_path))
    yield app
    with app.app_context():
        for engine in db.engines.values():
            engine.dispose()


def test_a_database_that_fails_is_reported_without_what_it_was_told(unmigrated: Flask, tmp_path: Path) -> None:
    """The driver's own message repeats the statement and its values."""
    result = Import(unmigrated, write(tmp_path / "users.csv", [row()])).run()
    assert result.exit_code == 1
    assert "The database failed" in result.stderr
    assert "run the same command again" in result.stderr
    assert HASH not in result.output
    assert "SELECT" not in result.output


def test_a_batch_that_cannot_be_written_wholly_is_not_written_at_all(new_app: Callable[..., Flask], tmp_path: Path) -> None:
    """Here the event, which is written last."""
    app = new_app()
    with app.app_context(), db.engine.begin() as connection:
        connection.execute(text("DROP TABLE audit_events"))
    result = Import(app, write(tmp_path / "users.csv", [row() for _ in range(10)])).run()
    assert result.exit_code == 1
    assert HASH not in result.output
    with app.app_context():
        assert (fetch_all(select(User.id)), fetch_all(select(UserRole.role))) == ([], [])


def lines_of(file: Path, rows: int) -> Path:
    """Many rows, some of them bad, the same in every call."""
    made = [
        {
            "username": f"person-{number}",
            "email": f"person-{number}@example.com",
            "email_verified": number % 2 == 0,
            "display_name": f"Person {number}",
            "password_hash": HASH,
            "roles": ["user", "editor"] if number % 3 else ["user"],
        }
        for number in range(rows)
    ]
    for number in range(100, rows, 100):
        made[number] |= {"username": f"Person-{number - 50}", "password_hash": OTHER_HASH}  # taken by an earlier row
    return write(file, made)


def measured(call: Callable[[], Any]) -> int:
    """The most memory, in bytes, that the call needed at once."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_file(app: Flask, file: Path) -> None:
    """Eight batches at once would need four times what two need."""

    def peak(batches: int) -> int:
        write(file, [row(email=f"{new_name()}@example.com", roles=["user", "editor"]) for _ in range(batches * BATCH)])

        def run() -> None:
            with file.open("rb") as opened, app.app_context():
                imported = sum(len(outcome.imported) for outcome in import_users(read_users(opened, file.suffix)))
                assert imported == batches * BATCH

        return measured(run)

    peak(1)  # what is loaded and cached once
    two, eight = peak(2), peak(8)
    assert eight < two * 1.4


def test_a_line_without_end_is_not_read_into_memory(file: Path) -> None:
    with file.open("wb") as opened:
        opened.truncate(50_000_000)

    def read() -> None:
        with file.open("rb") as opened:
            try:
                assert isinstance(*read_users(opened, file.suffix), Rejected)
            except UnusableFileError:
                assert file.suffix == ".csv"

    assert measured(read) < 2_000_000


@dataclass
class Database:
    """PostgreSQL with the tables of an app, and a way to see who waits there."""

    stores: Stores
    app: Flask

    def connect(self) -> psycopg.Connection[Any]:
        url = make_url(self.stores.database_url).set(drivername="postgresql").render_as_string(hide_password=False)
        return psycopg.connect(url)

    def wait_for(self, number: int) -> None:
        """Wait until so many connections wait for a lock."""
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        with self.connect() as watcher:
            watcher.autocommit = True
            eventually(lambda: watcher.execute(waiting).fetchone() == (number,), seconds=60)


@pytest.fixture(scope="module")
def postgresql(new_app: Callable[..., Flask], new_stores: Callable[[], Stores], store_name: str) -> Database:
    if store_name != "postgresql":
        pytest.skip("on SQLite nobody else writes meanwhile")
    stores = new_stores()
    return Database(stores, new_app(stores=stores))


def test_a_name_that_is_registered_meanwhile_is_rejected_and_the_rest_imported(postgresql: Database, tmp_path: Path) -> None:
    """The row is not yet to be seen when the import looks, and there when it writes."""
    rows = [row(), row(), row()]
    attempt = Import(postgresql.app, write(tmp_path / "users.csv", rows))
    name = rows[1]["username"]
    with postgresql.connect() as rival, ThreadPoolExecutor(1) as pool:
        rival.execute(
            "INSERT INTO users (id, username, username_key, password_hash, status, epoch, version, password_changed_at,"
            " created_at, updated_at) VALUES (%s, %s, %s, '', 'active', 0, 1, now(), now(), now())",
            (uuid.uuid4(), name, name),
        )
        running = pool.submit(attempt.run)
        postgresql.wait_for(1)
        rival.commit()
        assert counts(running.result(60)) == (2, 0, 1)
    assert attempt.rejected() == [{"line": 3, "username": name, "reason": TAKEN}]


def user_counts(app: Flask) -> tuple[int, int, int]:
    """Users, those of them with a role, and events of their import; in one look."""
    with app.app_context():
        with_role = select(UserRole.user_id).where(UserRole.role == "user").subquery()
        events = select(AuditEvent.subject_id).where(AuditEvent.type == "import").subquery()
        counted = (select(func.count()).select_from(each).scalar_subquery() for each in (User, with_role, events))
        found = fetch_one(select(*counted))
        assert found
        return tuple(found)  # type: ignore[return-value]


def start_import(environment: dict[str, str], file: Path) -> subprocess.Popen[bytes]:
    command = [KEYCARD, "users", "import", str(file)]
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen(command, env=environment, cwd=environment["HOME"], **quiet)


def test_an_import_that_is_killed_in_the_middle_of_a_batch_leaves_nothing_of_it(postgresql: Database, tmp_path: Path) -> None:
    """It has written users and roles, and waits for the table of events."""
    file = write(tmp_path / "users.csv", [row() for _ in range(10)])
    before = content(postgresql.app)
    with postgresql.connect() as rival:
        rival.execute("LOCK TABLE audit_events IN ACCESS EXCLUSIVE MODE")
        process = start_import(postgresql.stores.environment(tmp_path), file)
        postgresql.wait_for(1)
        process.kill()
        process.wait()
    postgresql.wait_for(0)
    assert content(postgresql.app) == before
    assert counts(Import(postgresql.app, file).run()) == (10, 0, 0)


ROWS = 4000


@pytest.fixture(scope="module")
def once(new_app: Callable[..., Flask], tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Any, ...]]:
    """What one run leaves that nobody disturbs."""
    app = new_app()
    file = lines_of(tmp_path_factory.mktemp("once") / "users.csv", ROWS)
    assert counts(Import(app, file).run()) == (ROWS - ROWS // 100 + 1, 0, ROWS // 100 - 1)
    return content(app)


@pytest.mark.timeout(300)
def test_an_import_that_was_killed_goes_on_where_it_was(
    new_app: Callable[..., Flask], new_stores: Callable[[], Stores], tmp_path: Path, once: list[tuple[Any, ...]]
) -> None:
    """SIGKILL, twice on the way, and then to the end: everybody is there once, wholly, and nobody else."""
    stores = new_stores()
    app = new_app(stores=stores)
    environment = stores.environment(tmp_path)
    file = lines_of(tmp_path / "users.csv", ROWS)
    seen = [0]
    for _ in range(2):
        process = start_import(environment, file)
        eventually(lambda: user_counts(app)[0] > seen[-1] or process.poll() is not None, seconds=60)  # noqa: B023
        process.kill()
        process.wait()
        # PostgreSQL may still be finishing what it was told before the end.
        eventually(lambda: len(set(user_counts(app))) == 1)
        seen.append(user_counts(app)[0])
    assert 0 < seen[1] < len(once), "the first kill came too late to mean anything"
    ended = subprocess.run(
        [KEYCARD, "users", "import", str(file)], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1, ended.stderr
    assert f"{seen[-1]} already there, {ROWS - len(once)} rejected" in ended.stdout
    assert content(app) == once


def test_two_imports_of_one_file_at_the_same_time_import_everybody_once(
    new_app: Callable[..., Flask], new_stores: Callable[[], Stores], tmp_path: Path, once: list[tuple[Any, ...]]
) -> None:
    stores = new_stores()
    app = new_app(stores=stores)
    file = lines_of(tmp_path / "users.csv", ROWS)
    reports = [("--report", str(tmp_path / name)) for name in ("one", "other")]
    environment = stores.environment(tmp_path)

    def run(report: Iterable[str]) -> str:
        command = [KEYCARD, "users", "import", str(file), *report]
        return subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False).stdout

    printed = simultaneously(*(lambda report=report: run(report) for report in reports))
    assert [f"{ROWS - len(once)} rejected" in each for each in printed] == [True, True]
    assert sum(int(each.split()[0]) for each in printed) == len(once)
    assert content(app) == once


def test_the_command_is_among_those_of_users_and_explains_itself(tmp_path: Path) -> None:
    environment = Stores("sqlite", f"sqlite:///{tmp_path}/keycard.sqlite3", None).environment(tmp_path)
    said = keycard(environment, "users", "import", "--help")
    for word in ("username", "password_hash", "email_verified", "created_at", "--check", "--report"):
        assert word in said
    assert os.fspath(tmp_path) not in said
