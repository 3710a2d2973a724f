"""Every statement finds its rows by an index, so that its cost does not grow with the tables.

Nothing here names a statement: they are recorded while every operation, every command and every job of the background does its
work on a database with twenty thousand people, and PostgreSQL is asked for its plans.
"""

import itertools
import json
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import text

from api import cli, keys, outbox
from api.accounts.demo import create_demo_accounts, remove_demo_accounts
from api.database import db
from api.sessions.revocation import mirror
from tests.actors import PASSWORD, Bearer, Browser, new_name
from tests.benchmarks.filling import GROWING, fill
from tests.conftest import Stores, administrated
from tests.contract.operations import Operation
from tests.contract.test_security_matrix import ALL
from tests.observability.marks import Marks, calls, mailed, someone
from tests.outbox.mail_server import MailServer
from tests.plans import Statement, faults, faults_in_general, recording

PEOPLE = 20_000
NOW = datetime.now(UTC)
LATER, LONG_AGO = ((NOW + timedelta(days=days)).isoformat() for days in (1, -300))
# For each parameter of a list: frequent and rare, early and late, somebody and nobody. Those of its cursor are times of the list.
VALUES: dict[str, list[Any]] = {
    "q": ["person", "person19999", "nobody-has-this"],
    "role": ["user", "editor", "admin", "nobody"],
    "status": ["active", "suspended"],
    "type": ["refreshed", "email_changed", "key_rotated"],
    "since": [LONG_AGO, NOW.isoformat()],
    "until": [LATER, LONG_AGO],
    "limit": [1],
    "cursor": [f"{int((NOW - timedelta(days=days)).timestamp()) * 1_000_000}-{'8' * 32}" for days in (1, 200)],
}


@pytest.fixture(scope="module")
def filled(request: pytest.FixtureRequest, store_name: str, mail: MailServer) -> Flask:
    if store_name != "postgresql":
        pytest.skip("the plans are PostgreSQL's")
    new_app: Callable[..., Flask] = request.getfixturevalue("new_app")
    stores: Stores = request.getfixturevalue("new_stores")()
    names = ("login_account", "login_address", "password", "register", "mail", "general")
    rates = {f"ratelimit_{name}": "100000/minute" for name in names}
    app = new_app(stores=stores, smtp_url=mail.url, ratelimit_enabled=True, **rates)
    first = Bearer(app).join()
    with app.app_context(), db.engine.connect() as connection:
        found = connection.execute(text("SELECT password_hash FROM users WHERE username = :name"), {"name": first.name})
        password_hash = found.scalar_one()
    fill(administrated(stores.database_url), PEOPLE, password_hash)
    return app


def queries(operation: Operation, about: str) -> Iterator[dict[str, Any]]:
    """Each parameter of a list alone and each two together, with every value."""
    known = {**VALUES, "user_id": [about, "00000000-0000-4000-8000-000000000000"]}
    named = [each["name"] for each in operation.declared.get("parameters", []) if each["in"] == "query"]
    yield {}
    for some in (*itertools.combinations(named, 1), *itertools.combinations(named, 2)):
        for values in itertools.product(*(known[name] for name in some)):
            yield dict(zip(some, values, strict=True))


def call(app: Flask, operation: Operation, mail: MailServer, marks: Marks) -> None:
    """Call an operation rightly; a list with every filter."""
    actor, other = someone(app, operation, marks), someone(app, operation, marks, Browser)
    token = mailed(app, actor, operation, mail, marks)
    answer = next(calls(operation, actor, marks, about=other.id, mailed=token))
    assert answer.status_code < 300 or str(operation) in {"login", "revoke_session"}, answer.text
    if operation.method == "get" and "parameters" in operation.declared:
        for query in queries(operation, other.id):
            answer = actor.get(operation.url(user_id=other.id), query_string=query)
            assert answer.status_code == 200, (query, answer.text)


def live(app: Flask) -> None:
    """What the examples of the document leave out: other ways in, other ends, and tokens that come twice."""
    somebody, other, admin = (Bearer(app, name) for name in ("person20", "person22", "person1"))
    assert somebody.login(username="PERSON20@example.com").status_code == 200
    assert other.login(password="wrong").status_code == 401
    assert [each.login().status_code for each in (somebody, other, admin)] == [200] * 3
    spent = somebody.refresh_token
    assert somebody.refresh().status_code == 200
    assert somebody.request("POST", "/v1/auth/refresh", token=spent).status_code == 200  # repeated
    assert somebody.refresh().status_code == 200
    assert somebody.request("POST", "/v1/auth/refresh", token=spent).status_code == 401  # reused
    assert somebody.login().status_code == 200
    mine = [each["id"] for each in somebody.get("/v1/users/me/sessions").json["items"] if not each["current"]]
    assert somebody.delete(f"/v1/users/me/sessions/{mine[0]}").status_code == 204
    url = f"/v1/admin/users/{other.id}"
    for body in ({"suspension": {"reason": None}}, {"suspension": None}, {"email": "else@example.com", "email_verified": True}):
        tag = admin.get(url).headers["ETag"]
        assert admin.patch(url, json=body, headers={"If-Match": tag}).status_code == 200
    second = Bearer(app, "person2")
    assert second.login().status_code == 200
    assert second.delete("/v1/users/me", json={"current_password": PASSWORD}).status_code == 204  # who has acted on others


def work_behind(app: Flask, folder: Path) -> None:
    """The command line, and what a server does on its own."""
    name, file = new_name(), folder / "people.jsonl"
    row = {"username": new_name(), "password_hash": "$2b$04$" + "." * 21 + "O" + "." * 30 + "C", "email": "a@example.com"}
    file.write_text(json.dumps({**row, "email_verified": True}) + "\n")
    runner = app.test_cli_runner()
    for group, *words in (
        (cli.users_cli, "import", str(file)),
        (cli.users_cli, "import", "--check", str(file)),
        (cli.users_cli, "create", name, "--password", PASSWORD, "--admin"),
        (cli.users_cli, "promote", name, "--role", "editor"),
        (cli.users_cli, "revoke", name),
        (cli.mail_cli, "list"),
        (cli.mail_cli, "retry", "--all"),
        (cli.keys_cli, "rotate"),
        (cli.purge,),
        (cli.doctor,),
    ):
        done = runner.invoke(group, words)
        assert done.exit_code == 0, (words, done.output)
    with app.app_context():
        keys.ensure_current()
        create_demo_accounts()
        remove_demo_accounts()
        outbox.waiting()
        outbox.deliver_due(app.extensions["keycard.composers"])
        assert mirror().heal(older_than=0)
        mirror().publish_generation(uuid.uuid4())


@pytest.fixture(scope="module")
def statements(filled: Flask, mail: MailServer, tmp_path_factory: pytest.TempPathFactory) -> list[Statement]:
    marks = Marks()
    with recording(filled) as recorder:
        for operation in ALL:
            recorder.by = str(operation)
            call(filled, operation, mail, marks)
        recorder.by = "a life"
        live(filled)
        recorder.by = "behind"
        work_behind(filled, tmp_path_factory.mktemp("import"))
    return recorder.different()


def test_every_statement_finds_its_rows_by_an_index(filled: Flask, statements: list[Statement]) -> None:
    """With each of the parameters that it had."""
    with filled.app_context(), db.engine.connect() as connection:
        found = {each.text: (each, wrong) for each in statements if (wrong := faults(connection, each))}
    assert not found, told(found)


def test_every_statement_does_so_whatever_its_parameters_are(filled: Flask, statements: list[Statement]) -> None:
    """A connection that has run a statement a few times may plan it once for all."""
    with filled.app_context(), db.engine.connect() as connection:
        once = {each.text: each for each in statements}
        found = {each.text: (each, wrong) for each in once.values() if (wrong := faults_in_general(connection, each))}
    assert not found, told(found)


def told(found: dict[str, tuple[Statement, list[str]]]) -> str:
    return "\n".join(f"{each.by}: {', '.join(wrong)}\n  {each.text}\n  {each.parameters}" for each, wrong in found.values())


def test_statements_about_every_table_were_seen(statements: list[Statement]) -> None:
    """And of every kind: else the test above has looked at less than it says."""
    seen = " ".join(each.text for each in statements)
    for table in GROWING:
        for verb in ("INSERT INTO", "FROM"):
            assert f"{verb} {table} " in seen, (verb, table)
    assert len(statements) > 300


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        ("SELECT id FROM users WHERE display_name = 'Person 7'", "Seq Scan on users"),
        ("SELECT id FROM users WHERE lower(username_key) = 'person7'", "Seq Scan on users"),
        ("SELECT id FROM users WHERE display_name = 'Person 7' ORDER BY created_at LIMIT 1", "looks at"),
        ("SELECT count(*) FROM sessions", "all of"),
        ("UPDATE audit_events SET detail = NULL WHERE actor_id = gen_random_uuid()", "Seq Scan on audit_events"),
        ("DELETE FROM sessions USING users WHERE users.id = sessions.user_id AND users.version = 7", "Seq Scan on users"),
    ],
)
def test_a_statement_without_an_index_is_found(filled: Flask, statement: str, fault: str) -> None:
    """The opposite: the judge can say no, for each reason it has."""
    with filled.app_context(), db.engine.connect() as connection:
        assert any(each.startswith(fault) for each in faults(connection, Statement("here", statement, {})))
