"""What is written in the log: every type by some story, with whom and where from, in the transaction of what it tells."""

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import bcrypt
import pytest
from click.testing import Result
from flask import Flask
from sqlalchemy import Row, func, select

from api import audit, clock, keys
from api.accounts.cli import import_users_command
from api.audit import EVENT_TYPES, AuditEvent
from api.cli import purge
from api.database import fetch_all, fetch_one, transaction
from tests.actors import PASSWORD, Bearer, new_name
from tests.mailbox import VERIFY, Mailbox, join_with, new_address

USERS, ME, EVENTS = "/v1/admin/users", "/v1/users/me", "/v1/users/me/events"
WRONG, NEW = "Wrong-Horse-77", "Battery-Staple-8"
AGENT, ADDRESS = "Keycard-Test/1.0", "192.0.2.77"
# A fixed salt: the hash has no dot, so that its last part is no shorter than a token's.
IMPORTED_HASH = bcrypt.hashpw(PASSWORD.encode(), b"$2b$04$abcdefghijklmnopqrstuu").decode()


@pytest.fixture(scope="module")
def app(new_app: Callable[..., Flask]) -> Flask:
    """A log and an outbox of our own. Failures count; the rates are out of the way."""
    names = ("login_account", "login_address", "password", "register", "mail", "general")
    return new_app(ratelimit_enabled=True, **{f"ratelimit_{name}": "100000/minute" for name in names})


def rows(app: Flask, *where: Any) -> list[Row[Any]]:
    """The events as they are stored, the oldest first."""
    with app.app_context():
        return list(fetch_all(select(AuditEvent.__table__).where(*where).order_by(AuditEvent.created_at)))


def types(person: Bearer) -> list[str]:
    """What the log says of somebody, the oldest first, as they see it."""
    items = person.get(EVENTS, query_string={"limit": 100}).json["items"]
    return [each["type"] for each in items][::-1]


@dataclass
class Story:
    """Everything that can happen to accounts, and every secret that was used on the way."""

    app: Flask
    folder: Path
    secrets: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.mailbox = Mailbox(self.app)
        self.admin = self.at(Bearer(self.app)).join(roles=["admin", "editor"])

    def at(self, person: Bearer) -> Bearer:
        person.client.environ_base |= {"REMOTE_ADDR": ADDRESS, "HTTP_USER_AGENT": AGENT}
        return person

    def tell(self) -> None:
        self.secrets |= {PASSWORD, NEW, WRONG, IMPORTED_HASH}
        person = self.sessions()
        self.passwords(person)
        self.addresses()
        self.administration()
        self.operation()

    def keep(self, person: Bearer) -> None:
        self.secrets |= {token for token in (person.access_token, person.refresh_token, person.csrf_token) if token}

    def sessions(self) -> Bearer:
        person = self.at(Bearer(self.app)).join()
        elsewhere = self.at(Bearer(self.app, person.name))
        self.keep(person)
        person.refresh()
        person.post("/v1/auth/reauthenticate", json={"password": WRONG})
        person.keep(person.post("/v1/auth/reauthenticate", json={"password": PASSWORD}))
        session_id = elsewhere.login().json["session_id"]
        person.delete(f"{ME}/sessions/{session_id}")
        elsewhere.login()
        person.delete(f"{ME}/sessions")
        elsewhere.client.environ_base["REMOTE_ADDR"] = "198.51.100.7"
        for _ in range(5):
            elsewhere.login(password=WRONG)
        spent = person.refresh_token
        person.refresh()
        assert person.request("POST", "/v1/auth/refresh", token=spent).status_code == 200  # within the grace window
        person.refresh()
        self.keep(person)
        assert person.request("POST", "/v1/auth/refresh", token=spent).status_code == 401
        person.login()
        person.logout()
        person.login()
        self.keep(person)
        return person

    def passwords(self, person: Bearer) -> None:
        person.patch(ME, json={"display_name": "Ada"})
        answer = person.keep(person.put(f"{ME}/password", json={"current_password": PASSWORD, "new_password": NEW}))
        assert answer.status_code == 200
        assert person.delete(ME).status_code == 204

    def addresses(self) -> None:
        old, new = new_address(), new_address()
        person = self.at(join_with(self.mailbox, old))
        person.put(f"{ME}/email", json={"email": new})
        self.secrets.add(token := self.mailbox.token(new))
        assert person.post(VERIFY, json={"token": token}).status_code == 204
        person.put(f"{ME}/email", json={"email": old})
        assert person.delete(f"{ME}/email/pending").status_code == 204
        person.put(f"{ME}/email", json={"email": old})
        self.secrets.add(token := self.mailbox.token(new))
        assert person.request("POST", "/v1/auth/email/undo", json={"token": token}).status_code == 204
        person.request("POST", "/v1/auth/password/forgot", json={"email": new})
        self.secrets.add(token := self.mailbox.token(new))
        body = {"token": token, "new_password": NEW}
        assert person.request("POST", "/v1/auth/password/reset", json=body).status_code == 204

    def administration(self) -> None:
        made = self.admin.post(USERS, json={"username": new_name(), "password_hash": IMPORTED_HASH})
        url = f"{USERS}/{made.json['id']}"
        for suspension in ({"reason": "Sells umbrellas."}, None):
            change = {"json": {"suspension": suspension}, "headers": {"If-Match": "*"}}
            assert self.admin.patch(url, **change).status_code == 200
        assert self.admin.put(f"{url}/roles", json={"roles": ["editor"]}).status_code == 200
        assert self.admin.post(f"{url}/revoke").status_code == 204

    def operation(self) -> None:
        assert import_users(self.app, self.folder, new_name()).exit_code == 0
        with self.app.app_context():
            keys.rotate()


def import_users(app: Flask, folder: Path, *names: str) -> Result:
    file = folder / "users.jsonl"
    file.write_text("\n".join(json.dumps({"username": name, "password_hash": IMPORTED_HASH}) for name in names) + "\n")
    return app.test_cli_runner().invoke(import_users_command, [str(file)])


@pytest.fixture(scope="module")
def story(app: Flask, tmp_path_factory: pytest.TempPathFactory) -> Story:
    found = Story(app, tmp_path_factory.mktemp("story"))
    found.tell()
    return found


def test_every_type_is_written_by_some_story(app: Flask, story: Story) -> None:
    """A type that nobody writes would be a promise of the document that nothing keeps."""
    assert {row.type for row in rows(app)} == set(EVENT_TYPES)


def test_the_types_of_the_document_are_those_of_the_log(app: Flask, story: Story) -> None:
    document = story.admin.request("GET", "/openapi.json").json
    operation = document["paths"]["/v1/admin/events"]["get"]
    (described,) = [each["schema"] for each in operation["parameters"] if each["name"] == "type"]
    assert set(described["enum"]) == set(EVENT_TYPES)
    # In answers it is open: a client of today reads the events of tomorrow.
    assert "enum" not in document["components"]["schemas"]["Event"]["properties"]["type"]


def test_no_secret_is_in_any_column(app: Flask, story: Story) -> None:
    """Neither a password nor a token, nor a part of one that would be enough."""
    written = "\n".join(str(value) for row in rows(app) for value in row)
    assert AGENT in written
    assert len(story.secrets) > 10
    for secret in story.secrets:
        assert secret not in written
        assert secret.rpartition(".")[2] not in written


def test_no_detail_names_a_person(app: Flask, story: Story) -> None:
    """The log outlives the accounts, and knows them by their ids alone."""
    details = {row.detail for row in rows(app)} - {None}
    assert details <= {"body", "hybrid", "cookie", "admin editor user", "editor"}


def test_what_people_did_says_where_from(app: Flask, story: Story) -> None:
    """Everything of the administrator's story came from one address; what the command line did came from nowhere."""
    theirs = rows(app, AuditEvent.actor_id == uuid.UUID(story.admin.id))
    assert {"user_created", "suspended", "reactivated", "roles_changed", "tokens_revoked"} <= {row.type for row in theirs}
    assert {(row.ip_address, row.user_agent) for row in theirs} == {(ADDRESS, AGENT)}
    for row in rows(app, AuditEvent.type.in_(["import", "key_rotated"])):
        assert (row.ip_address, row.user_agent, row.actor_id, row.session_id) == (None, None, None, None)


def test_a_deleted_account_leaves_no_address_in_the_log(app: Flask, story: Story, clock: Any) -> None:
    """Thirty days later, when nobody needs it as evidence any more."""
    clock.shift(30 * 86_400 + 60)
    assert app.test_cli_runner().invoke(purge).exit_code == 0
    (deletion,) = rows(app, AuditEvent.type == "deletion")
    left = rows(app, AuditEvent.subject_id == deletion.subject_id)
    assert {"registered", "signed_in", "password_changed", "deletion"} <= {row.type for row in left}
    assert {(row.ip_address, row.user_agent) for row in left} == {(None, None)}


def test_a_life_is_told_in_order_with_actor_and_session(app: Flask, clock) -> None:
    person = Bearer(app)
    steps: list[Callable[[], Any]] = [
        person.register,
        lambda: person.login(password=WRONG),
        person.login,
        person.refresh,
        lambda: person.post("/v1/auth/reauthenticate", json={"password": WRONG}),
        lambda: person.keep(person.post("/v1/auth/reauthenticate", json={"password": PASSWORD})),
        person.logout,
    ]
    moments = []
    for step in steps:
        clock.shift(1)
        moments.append(clock_now())
        step()
    clock.shift(1)
    session = person.login().json["session_id"]
    mine = uuid.UUID(person.id)
    *told, last = rows(app, AuditEvent.subject_id == mine)
    assert [(row.created_at.isoformat(), row.type) for row in told] == list(
        zip(
            moments,
            [
                "registered",
                "sign_in_failed",
                "signed_in",
                "refreshed",
                "reauthentication_failed",
                "reauthenticated",
                "signed_out",
            ],
            strict=True,
        )
    )
    first = told[2].session_id
    assert [row.session_id for row in told] == [None, None, *[first] * 5]
    assert [row.actor_id for row in told] == [mine, None, mine, mine, None, mine, mine]
    assert str(last.session_id) == session != str(first)


def clock_now() -> str:
    return clock.now().isoformat()


def test_what_an_administrator_did_names_both(app: Flask, admin: Bearer, user: Bearer) -> None:
    mine, theirs = uuid.UUID(admin.id), uuid.UUID(user.id)
    admin.put(f"{USERS}/{theirs}/roles", json={"roles": ["user", "editor"]})
    (row,) = rows(app, AuditEvent.subject_id == theirs, AuditEvent.type == "roles_changed")
    assert (row.actor_id, row.detail) == (mine, "editor user")
    assert str(row.session_id) == admin.get("/v1/auth/session").json["session"]["id"]


def test_a_refused_request_writes_nothing(app: Flask, admin: Bearer, user: Bearer) -> None:
    """What was rolled back has not happened."""
    user_id, taken = user.id, new_address()
    join_with(Mailbox(app), taken)
    seen = admin.get(f"{USERS}/{user_id}").headers["ETag"]
    user.patch(ME, json={"display_name": "Ada"})
    before = count(app)
    refused = [
        admin.patch(f"{USERS}/{user_id}", json={"email": taken, "email_verified": True}, headers={"If-Match": "*"}),
        admin.patch(f"{USERS}/{user_id}", json={"suspension": {}}, headers={"If-Match": seen}),
        admin.put(f"{USERS}/{user_id}/roles", json={"roles": ["owner"]}),
        admin.post(USERS, json={"username": user.name}),
        admin.post(USERS, json={"username": new_name(), "email": taken, "email_verified": True}),
        Bearer(app, user.name).register(),
        user.request("POST", VERIFY, json={"token": "x" * 43}),
        user.request("POST", "/v1/auth/refresh", token=user.access_token),
        user.delete(f"{ME}/sessions/{uuid.uuid4()}"),
    ]
    assert [each.status_code for each in refused] == [409, 412, 403, 409, 409, 409, 403, 401, 404]
    assert count(app) == before


def count(app: Flask) -> int:
    with app.app_context():
        row = fetch_one(select(func.count()).select_from(AuditEvent))
    assert row
    return int(row[0])


def test_an_event_is_rolled_back_with_what_it_tells(app: Flask) -> None:
    subject = uuid.uuid4()

    def fail() -> None:
        with transaction():
            audit.record("registered", subject)
            raise LookupError

    with app.app_context():
        with pytest.raises(LookupError):
            fail()
        assert rows(app, AuditEvent.subject_id == subject) == []
        audit.record("registered", subject)
        assert len(rows(app, AuditEvent.subject_id == subject)) == 1


def test_a_type_that_is_not_in_the_list_is_a_mistake_of_ours(app: Flask) -> None:
    with app.app_context(), pytest.raises(ValueError, match="abducted"):
        audit.record("abducted", None)


def test_an_import_that_is_run_again_is_told_once(app: Flask, tmp_path: Path) -> None:
    names = [new_name() for _ in range(3)]
    before = len(rows(app, AuditEvent.type == "import"))
    for _ in range(2):
        assert import_users(app, tmp_path, *names).exit_code == 0
    assert len(rows(app, AuditEvent.type == "import")) == before + 3


def test_a_compromised_rotation_is_told_as_such(app: Flask) -> None:
    with app.app_context():
        keys.rotate(compromised=True)
    assert [row.detail for row in rows(app, AuditEvent.type == "key_rotated")][-1] == "compromised"


def test_everybody_sees_their_own_log_alone(app: Flask, person: Bearer) -> None:
    other = Bearer(app).join()
    other.login(password=WRONG)
    mine = person.get(EVENTS).json["items"]
    assert [each["type"] for each in mine] == ["signed_in", "registered"]
    assert {each["user_id"] for each in mine} == {person.id}
    assert types(other) == ["registered", "signed_in", "sign_in_failed"]


def test_ones_own_log_has_no_filters(user: Bearer, admin: Bearer) -> None:
    """Nor a way to somebody else's."""
    answer = user.get(EVENTS, query_string={"user_id": admin.id})
    assert (answer.status_code, [each["parameter"] for each in answer.json["errors"]]) == (422, ["user_id"])


def test_ones_own_log_comes_in_pages(app: Flask, clock) -> None:
    person = Bearer(app).join()
    for _ in range(5):
        clock.shift(1)
        person.refresh()
    whole = [each["id"] for each in person.get(EVENTS).json["items"]]
    seen, query = [], {"limit": 3}
    while True:
        page = person.get(EVENTS, query_string=query).json
        seen += [each["id"] for each in page["items"]]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    assert seen == whole
    assert len(seen) == 7


def test_what_was_done_to_me_is_in_my_log(app: Flask, admin: Bearer, user: Bearer) -> None:
    admin.put(f"{USERS}/{user.id}/roles", json={"roles": ["user", "editor"]})
    user.refresh()
    assert types(user)[-2:] == ["roles_changed", "refreshed"]


def test_my_log_does_not_say_from_where_an_administrator_acted(app: Flask, admin: Bearer, user: Bearer) -> None:
    admin.put(f"{USERS}/{user.id}/roles", json={"roles": ["user", "editor"]})
    user.refresh()
    mine, theirs = user.get(EVENTS).json["items"][:2]
    where = ("session_id", "ip_address", "user_agent")
    assert [(mine[each] is None, theirs[each] is None) for each in where] == [(False, True)] * 3
    assert (mine["actor_id"], theirs["actor_id"]) == (user.id, admin.id)
    (row,) = rows(app, AuditEvent.subject_id == uuid.UUID(user.id), AuditEvent.type == "roles_changed")
    assert None not in {row.session_id, row.ip_address, row.user_agent}


def test_a_strange_browser_is_written_down_without_harm(app: Flask) -> None:
    """Printable, and no longer than the column: PostgreSQL would refuse the sign-in."""
    person = Bearer(app)
    person.register()
    person.client.environ_base["HTTP_USER_AGENT"] = "\x1b[31m\u00ad" + "x" * 5000
    assert person.login().status_code == 200
    found = person.get(EVENTS, query_string={"limit": 1}).json["items"][0]
    assert found["user_agent"] == ("[31m" + "x" * 300)[:255]
