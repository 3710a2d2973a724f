"""Input that breaks a rule of the schema: refused with its place, never coerced, and nothing is changed.

What can be wrong is derived from the OpenAPI document, operation by operation and field by field.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask

from tests.actors import Bearer
from tests.http.test_errors import Operation, everything, is_problem, operations

OF_TYPE: dict[str, tuple[Any, ...]] = {
    "null": (None,),
    "boolean": (True, False),
    "integer": (0, 1, -1, 10**30),
    "number": (1.5,),
    "string": ("", "1", "true", "null", "x"),
    "array": ([], [None], ["x"]),
    "object": ({}, {"": ""}, {"$ne": None}),
}
NO_MOMENTS = ("", "x", "0", "2026-11-22", "2026-11-22T09:30:00", "20261122T093000Z", "2026-13-01T00:00:00Z", "2026-11-22T09:30Z")
CONTROL = [chr(code) for code in (*range(0x20), *range(0x7F, 0xA0))]
NO_LIMITS = (
    "0", "-1", "101", "1000", "9" * 30, "9" * 5000, "1.0", "1e1", "0x10", "+5", " 5", "5 ", "", "abc", "null", "true",
    "NaN", "\u0665", "\uff15", "1_0", "5\x00", "[5]", "1,2",
)  # fmt: skip
NO_CURSORS = (
    "", "x", "0", "-", "1-2", "-" + "0" * 32, "1-" + "0" * 31, "1-" + "0" * 33, "1-" + "G" * 32, "1-" + "A" * 32,
    "9" * 17 + "-" + "0" * 32, "1.5-" + "0" * 32, "-1-" + "0" * 32, "\u0661-" + "0" * 32, "1-" + "0" * 32 + "\n",
    "1-" + "0" * 32 + "\x00", "' OR 1=1 --", "A" * 5000,
)  # fmt: skip


@pytest.fixture(scope="module")
def asked(app: Flask) -> list[Operation]:
    return operations(app)


@pytest.fixture(scope="module")
def admin(app: Flask) -> Bearer:
    """Nothing here ends a session, so one administrator is enough."""
    return Bearer(app).join(roles=["user", "admin"])


@pytest.fixture
def nothing_changes(app: Flask, admin: Bearer) -> Iterator[None]:
    before = everything(app)
    yield
    assert everything(app) == before


def send(admin: Bearer, operation: Operation, body: Any) -> Any:
    text = json.dumps(body)  # also null, which the test client takes for no body
    return admin.signed_in(
        operation.method, operation.filled(), data=text, content_type="application/json", headers=operation.headers
    )


def points_to(answer: Any, pointer: str) -> bool:
    """Whether the answer is a 422 that names this place; the first step must be right, a fault inside may be named deeper."""
    assert is_problem(answer, 422, "validation-failed")
    pointers = [each["pointer"] for each in answer.json["errors"]]
    assert any(each == pointer or each.startswith(pointer + "/") for each in pointers), pointers
    return True


def wrong_types(schema: dict[str, Any]) -> list[Any]:
    kinds = schema.get("type", "string")
    if "anyOf" in schema:  # an object or null
        kinds = ["object", "null"]
    right = {kinds} if isinstance(kinds, str) else set(kinds)
    return [value for kind, values in OF_TYPE.items() if kind not in right for value in values]


def fields(operation: Operation) -> Iterator[tuple[str, dict[str, Any]]]:
    assert operation.body
    for name, schema in operation.body["properties"].items():
        yield name, operation.resolved(schema)


@pytest.mark.parametrize("body", [None, True, False, 0, 1.5, "x", "", "{}", [], [{}], [None]], ids=repr)
def test_a_body_that_is_no_object_is_refused(asked, admin: Bearer, nothing_changes: None, subtests: Any, body: Any) -> None:
    for operation in asked:
        if operation.body:
            with subtests.test(operation=operation.name):
                assert is_problem(send(admin, operation, body), 422, "validation-failed")


def test_a_list_around_the_body_is_refused(asked, admin: Bearer, nothing_changes: None, subtests: Any) -> None:
    for operation in asked:
        if operation.body:
            with subtests.test(operation=operation.name):
                assert is_problem(send(admin, operation, [operation.example]), 422, "validation-failed")


@pytest.mark.parametrize("name", ["", "x", "id", "roles ", "is_admin", "__proto__", "constructor", "a/b", "a~b", "ü", "n" * 1000])
def test_an_unknown_member_is_refused(asked, admin: Bearer, nothing_changes: None, subtests: Any, name: str) -> None:
    """No mass assignment: what a schema does not name does not pass."""
    escaped = name.replace("~", "~0").replace("/", "~1")
    for operation in asked:
        if operation.body:
            with subtests.test(operation=operation.name):
                answer = send(admin, operation, operation.example | {name: "x"})
                assert points_to(answer, f"/{escaped}")


def test_an_unknown_member_is_named_also_when_it_is_called_as_marshmallow_calls_the_whole(admin: Bearer) -> None:
    """The pointer to a member named _schema is not the pointer to the whole body."""
    assert points_to(admin.patch("/v1/users/me", json={"_schema": "x"}), "/_schema")


@pytest.mark.parametrize("name", ["roles", "status", "email_verified", "epoch", "version", "password_hash", "id", "created_at"])
def test_nobody_gives_themselves_what_is_not_theirs_to_give(user: Bearer, anybody: Bearer, name: str) -> None:
    answer = anybody.register(**{name: ["admin"] if name == "roles" else "x"})
    assert points_to(answer, f"/{name}")
    assert points_to(user.patch("/v1/users/me", json={"display_name": "Ada", name: ["admin"]}), f"/{name}")
    assert user.get("/v1/users/me").json["display_name"] is None


def test_a_member_that_is_missing_is_named(asked, admin: Bearer, nothing_changes: None, subtests: Any) -> None:
    for operation in asked:
        for name in (operation.body or {}).get("required", []):
            with subtests.test(operation=operation.name, field=name):
                body = {key: value for key, value in operation.example.items() if key != name}
                assert points_to(send(admin, operation, body), f"/{name}")


def test_a_value_of_another_type_is_refused_and_never_coerced(asked, admin: Bearer, nothing_changes: None, subtests: Any) -> None:
    """ "1" is not 1, 1 is not true, and a list of one is not the one."""
    for operation in asked:
        if operation.body:
            for name, schema in fields(operation):
                for value in wrong_types(schema):
                    with subtests.test(operation=operation.name, field=name, value=value):
                        assert points_to(send(admin, operation, operation.example | {name: value}), f"/{name}")


def test_an_item_of_another_type_is_refused(asked, admin: Bearer, nothing_changes: None, subtests: Any) -> None:
    for operation in asked:
        for name, schema in fields(operation) if operation.body else ():
            for value in wrong_types(schema["items"]) if "items" in schema else ():
                with subtests.test(operation=operation.name, field=name, value=value):
                    body = operation.example | {name: [*operation.example[name], value]}
                    assert points_to(send(admin, operation, body), f"/{name}/{len(operation.example[name])}")


@pytest.mark.parametrize("mark", CONTROL, ids=lambda mark: f"{ord(mark):02x}")
def test_a_control_character_is_refused_in_every_text(asked, admin: Bearer, nothing_changes: None, mark: str) -> None:
    """PostgreSQL cannot store NUL, a terminal obeys ESC, a log line ends at LF. Passwords alone may hold anything."""
    tried = 0
    for operation in asked:
        for name, schema in fields(operation) if operation.body else ():
            if schema.get("type", "string") != "string" or "anyOf" in schema or schema.get("format") == "password":
                continue
            good = operation.example.get(name) or schema["examples"][0]
            for value in (good + mark, f"{good[:3]}{mark}{good[3:]}"):
                assert points_to(send(admin, operation, operation.example | {name: value}), f"/{name}"), (operation.name, name)
                tried += 1
    assert tried >= 10


@pytest.mark.parametrize("mark", ["\x00", "\x1b", "\n", "\u2028", "\ufeff", "\U0001f600"])
def test_a_password_may_hold_any_character_and_all_of_them_count(app: Flask, mark: str) -> None:
    """Nothing is cut off at a zero byte, stripped or folded."""
    person = Bearer(app)
    person.password += mark
    assert person.register().status_code == 201
    assert person.login().status_code == 200
    assert person.login(password=person.password[:-1]).status_code == 401
    assert person.login(password=person.password + mark).status_code == 401


def test_a_text_that_is_too_long_is_refused(asked, admin: Bearer, nothing_changes: None, subtests: Any) -> None:
    for operation in asked:
        for name, schema in fields(operation) if operation.body else ():
            if "maxLength" in schema:
                for length in (schema["maxLength"] + 1, 10_000, 60_000):
                    with subtests.test(operation=operation.name, field=name, length=length):
                        assert points_to(
                            send(admin, operation, operation.example | {name: "Aa1" + "x" * (length - 3)}), f"/{name}"
                        )


def wrong_query(name: str) -> tuple[str, ...]:
    return {
        "limit": NO_LIMITS,
        "cursor": NO_CURSORS,
        "status": ("", "x", "ACTIVE", "active ", "active\x00", "deleted"),
        "role": ("", "ADMIN", "a b", "\x00", "1a", "r" * 33, "\u00fc"),
        "q": ("", "\x00", "a\x00", "\x1b[31m", "x" * 255),
        "user_id": ("", "x", "\x00", "{00000000-0000-4000-8000-000000000000}", "00000000000040008000000000000000"),
        "type": ("", "x", "SIGNED_IN", "signed_in ", "signed_in\x00"),
        "since": NO_MOMENTS,
        "until": NO_MOMENTS,
    }[name]


def lists(asked: list[Operation], admin: Bearer) -> Iterator[tuple[Operation, str]]:
    for operation in asked:
        if operation.query:
            yield operation, operation.filled(admin.id)


def test_a_query_parameter_that_breaks_its_rule_is_named(asked, admin: Bearer, nothing_changes: None, subtests: Any) -> None:
    for operation, path in lists(asked, admin):
        for name in (each["name"] for each in operation.query):
            for value in wrong_query(name):
                with subtests.test(operation=operation.name, parameter=name, value=value[:40]):
                    answer = admin.get(path, query_string={name: value})
                    assert is_problem(answer, 422, "validation-failed")
                    assert {each["parameter"] for each in answer.json["errors"]} == {name}


def test_a_query_parameter_twice_or_unknown_is_named(asked, admin: Bearer, subtests: Any) -> None:
    for operation, path in lists(asked, admin):
        known = [each["name"] for each in operation.query]
        for query, named in [
            *((f"{name}=5&{name}=5", name) for name in known),
            ("x=1", "x"),
            ("Limit=5", "Limit"),
            ("limit[]=5", "limit[]"),
        ]:
            with subtests.test(operation=operation.name, query=query):
                answer = admin.get(path, query_string=query)
                assert is_problem(answer, 422, "validation-failed")
                assert named in {each["parameter"] for each in answer.json["errors"]}


@pytest.mark.parametrize("cursor", ["0-" + "0" * 32, "9" * 16 + "-" + "f" * 32, "0" * 16 + "-" + "f" * 32])
def test_a_cursor_of_the_right_form_is_a_place_in_the_list(asked, admin: Bearer, cursor: str) -> None:
    """Before everything, behind everything: an empty page or a full one, never a fault."""
    for _operation, path in lists(asked, admin):
        items = admin.get(path, query_string={"cursor": cursor}).json["items"]
        assert bool(items) is cursor.startswith("9")


@pytest.mark.parametrize(
    "query",
    ["%", "%zz", "%ff", "%ed%a0%80", "=", "&", "&&&=", "q=%ff", "q=%ed%a0%80", "?", "q=" + "%41" * 200, "limit=5;cursor=x"],
)
def test_a_query_string_that_is_none_is_no_crash(asked, admin: Bearer, query: str) -> None:
    for operation, path in lists(asked, admin):
        answer = admin.get(path, query_string=query)
        assert answer.status_code in {200, 422}, operation.name
