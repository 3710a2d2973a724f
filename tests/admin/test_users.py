"""Finding users and looking at them and their sessions."""

import uuid
from typing import Any

import pytest
from flask import Flask

from api import admin as administration
from api import users
from tests.actors import Bearer, new_name

USERS = "/v1/admin/users"


def tag() -> str:
    """The beginning of names that no other test uses."""
    return f"t{uuid.uuid4().hex[:10]}"


def add(app: Flask, name: str, *, suspended: bool = False, roles: set[str] | None = None, **extra: Any) -> str:
    """Register somebody, and do to them what an operator would; return the id."""
    answer = Bearer(app, name).register(**extra)
    assert answer.status_code == 201
    with app.app_context():
        user_id = administration.find_by_username(name).id
        if roles is not None:
            administration.set_roles(user_id, roles)
        if suspended:
            users.bump_version(user_id, status="suspended")
    return str(user_id)


def found(admin: Bearer, **query: Any) -> set[str]:
    answer = admin.get(USERS, query_string={"limit": 100, **query})
    assert answer.status_code == 200
    return {each["username"] for each in answer.json["items"]}


def walk(admin: Bearer, query: dict[str, Any], between: Any = lambda: None) -> list[str]:
    """Follow next_cursor to the end, doing something between the pages; return the names seen."""
    seen: list[str] = []
    cursor: str | None = None
    while True:
        page = admin.get(USERS, query_string={**query, **({"cursor": cursor} if cursor else {})}).json
        seen += [each["username"] for each in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            return seen
        between()


def test_the_newest_user_comes_first(app: Flask, clock) -> None:
    administrator, start = Bearer(app).join(roles=["admin"]), tag()
    for number in range(3):
        clock.shift(1)
        add(app, f"{start}-{number}")
    assert walk(administrator, {"q": start}) == [f"{start}-2", f"{start}-1", f"{start}-0"]


def test_a_listed_user_is_shown_as_to_themselves(admin: Bearer, user: Bearer) -> None:
    (listed,) = admin.get(USERS, query_string={"q": user.name}).json["items"]
    assert listed == {**user.get("/v1/users/me").json, "suspension": None}


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 8])
def test_pages_have_no_duplicates_and_no_gaps_while_people_join(app: Flask, clock, limit: int) -> None:
    """Everybody registered here in one and the same microsecond, and more people join between the pages."""
    administrator, start = Bearer(app).join(roles=["admin"]), tag()
    names = {f"{start}-{number}" for number in range(7)}
    for name in names:
        add(app, name)

    def somebody_joins() -> None:
        clock.shift(1)
        add(app, f"{start}-late-{uuid.uuid4().hex[:6]}")

    seen = walk(administrator, {"q": start, "limit": limit}, somebody_joins)
    assert len(seen) == 7
    assert set(seen) == names


def test_the_link_header_leads_through_the_same_pages(admin: Bearer, app: Flask) -> None:
    start = tag()
    for number in range(3):
        add(app, f"{start}-{number}")
    answer, seen = admin.get(USERS, query_string={"q": start, "limit": 2, "status": "active"}), []
    while True:
        seen += [each["username"] for each in answer.json["items"]]
        if "Link" not in answer.headers:
            break
        answer = admin.get(answer.headers["Link"].partition(">")[0].removeprefix("<"))
    assert seen == walk(admin, {"q": start, "limit": 2})


def test_q_is_the_beginning_of_the_username_in_any_case(admin: Bearer, app: Flask) -> None:
    start = tag()
    add(app, f"{start}-Ada")
    assert found(admin, q=f"{start.upper()}-aD") == {f"{start}-Ada"}
    assert found(admin, q=f"{start}-x") == set()
    assert found(admin, q="-Ada") & {f"{start}-Ada"} == set()


def test_q_is_also_the_beginning_of_the_address(admin: Bearer, app: Flask) -> None:
    name, local = new_name(), tag()
    add(app, name, email=f"{local}@example.com")
    assert found(admin, q=f"{local}@EX") == {name}
    assert found(admin, q=f"{local}@x") == set()


@pytest.mark.parametrize("wildcard", ["%", "_", "\\", "/", "[a]", "*", "a%", "'", '"'])
def test_no_character_of_q_is_a_wildcard(admin: Bearer, app: Flask, wildcard: str) -> None:
    start = tag()
    add(app, f"{start}-a1")
    assert found(admin, q=f"{start}{wildcard}") == set()


def test_an_underscore_finds_itself_alone(admin: Bearer, app: Flask) -> None:
    start = tag()
    for mark in "_-x":
        add(app, f"{start}{mark}a")
    assert found(admin, q=f"{start}_a") == {f"{start}_a"}


def test_filters_are_combined(admin: Bearer, app: Flask) -> None:
    """A user must match all of them."""
    start, other = tag(), tag()
    for name in (start, other):
        add(app, f"{name}-editor", roles={"user", "editor"})
        add(app, f"{name}-gone", roles={"user", "editor"}, suspended=True)
        add(app, f"{name}-plain")
    assert found(admin, q=start) == {f"{start}-editor", f"{start}-gone", f"{start}-plain"}
    assert found(admin, q=start, role="editor") == {f"{start}-editor", f"{start}-gone"}
    assert found(admin, q=start, status="suspended") == {f"{start}-gone"}
    assert found(admin, q=start, role="editor", status="active") == {f"{start}-editor"}
    assert found(admin, q=start, role="admin") == set()
    assert {f"{start}-gone", f"{other}-gone"} <= found(admin, role="editor", status="suspended")
    assert f"{start}-plain" not in found(admin, role="editor")


def test_filters_hold_on_every_page(admin: Bearer, app: Flask) -> None:
    start = tag()
    for number in range(6):
        add(app, f"{start}-{number}", suspended=number % 2 == 0)
    assert set(walk(admin, {"q": start, "status": "suspended", "limit": 1})) == {f"{start}-0", f"{start}-2", f"{start}-4"}


@pytest.mark.parametrize(
    "query",
    [{"q": ""}, {"q": "x" * 255}, {"q": "a\u0000"}, {"role": "Admin"}, {"role": ""}, {"status": "deleted"}, {"name": "ada"},
     {"offset": "1"}, {"q": ["a", "b"]}],
)  # fmt: skip
def test_a_filter_that_breaks_the_rules_is_refused(admin: Bearer, query: dict[str, Any]) -> None:
    answer = admin.get(USERS, query_string=query)
    assert (answer.status_code, {fault["parameter"] for fault in answer.json["errors"]}) == (422, set(query))


def test_the_etag_names_the_version(admin: Bearer, user: Bearer) -> None:
    """It stays while nothing changes, and no two versions share one."""
    url = f"{USERS}/{user.id}"
    first = admin.get(url).headers["ETag"]
    assert admin.get(url).headers["ETag"] == first
    user.patch("/v1/users/me", json={"display_name": "Ada"})
    second = admin.get(url).headers["ETag"]
    third = admin.put(f"{url}/roles", json={"roles": ["user", "editor"]}).headers["ETag"]
    assert admin.get(url).headers["ETag"] == third
    assert len({first, second, third}) == 3


@pytest.mark.parametrize("path", ["", "/sessions"])
def test_an_unknown_user_is_not_found(admin: Bearer, path: str) -> None:
    answer = admin.get(f"{USERS}/{uuid.uuid4()}{path}")
    assert (answer.status_code, answer.json["type"]) == (404, "/problems/no-such-user")


def test_the_sessions_of_a_user_are_listed_as_they_see_them(admin: Bearer, person: Bearer, app: Flask) -> None:
    """Only `current` differs: it marks the caller's own session."""
    Bearer(app, person.name).login()
    url = f"{USERS}/{person.id}/sessions"
    theirs = person.get("/v1/users/me/sessions").json["items"]
    assert admin.get(url).json["items"] == [{**each, "current": False} for each in theirs]
    assert len(theirs) == 2
    first = admin.get(url, query_string={"limit": 1}).json
    rest = admin.get(url, query_string={"limit": 1, "cursor": first["next_cursor"]}).json
    assert [each["id"] for each in first["items"] + rest["items"]] == [each["id"] for each in theirs]
    assert rest["next_cursor"] is None


def test_among_their_own_sessions_an_administrator_finds_the_current_one(admin: Bearer) -> None:
    (mine,) = admin.get(f"{USERS}/{admin.id}/sessions").json["items"]
    assert mine["current"] is True
