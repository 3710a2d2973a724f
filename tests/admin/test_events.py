"""The whole log, for administrators: filters and pages; what is written in it: tests/audit."""

import uuid
from typing import Any

import pytest
from flask import Flask

from tests.actors import Bearer, new_name

EVENTS = "/v1/admin/events"


def listed(admin: Bearer, **query: Any) -> list[dict[str, Any]]:
    """All pages of it: the modules of a run share a database, and so this log."""
    query["limit"] = 100
    found: list[dict[str, Any]] = []
    while True:
        answer = admin.get(EVENTS, query_string=query)
        assert answer.status_code == 200
        found += answer.json["items"]
        if answer.json["next_cursor"] is None:
            return found
        query["cursor"] = answer.json["next_cursor"]


def types(admin: Bearer, **query: Any) -> list[str]:
    return [each["type"] for each in listed(admin, **query)]


def story(app: Flask, clock: Any) -> tuple[Bearer, list[str]]:
    """Somebody with six events, a second apart, and their moments, the oldest first."""
    moments = []

    def tick() -> None:
        clock.shift(1)
        moments.append(clock_now())

    person = Bearer(app)
    tick()
    person.register()
    for step in (person.login, person.refresh, lambda: person.login(password="Wrong-Horse-7"), person.logout, person.login):
        tick()
        step()
    return person, moments


def clock_now() -> str:
    from api import clock

    return clock.now().isoformat()


STORY = ["signed_in", "signed_out", "sign_in_failed", "refreshed", "signed_in", "registered"]


def test_the_newest_comes_first(app: Flask, clock) -> None:
    person, moments = story(app, clock)
    admin = Bearer(app).join(roles=["admin"])
    found = listed(admin, user_id=person.id)
    assert [each["type"] for each in found] == STORY
    assert [each["created_at"] for each in found] == moments[::-1]
    assert {each["user_id"] for each in found} == {person.id}


def test_filters_are_combined(app: Flask, clock) -> None:
    """An event must match all of them."""
    person, moments = story(app, clock)
    other, _ = story(app, clock)
    admin, mine = Bearer(app).join(roles=["admin"]), person.id
    assert types(admin, user_id=mine, type="signed_in") == ["signed_in"] * 2
    assert types(admin, user_id=mine, type="signed_in", since=moments[2]) == ["signed_in"]
    assert types(admin, user_id=mine, type="signed_in", until=moments[5]) == ["signed_in"]
    assert types(admin, user_id=mine, type="deletion") == []
    assert types(admin, user_id=str(uuid.uuid4())) == []
    assert {mine, other.id} <= {each["user_id"] for each in listed(admin, type="signed_in", since=moments[0])}


def test_since_includes_its_moment_and_until_does_not(app: Flask, clock) -> None:
    """So that one day's until is the next one's since, and nothing is in both or in none."""
    person, moments = story(app, clock)
    admin, mine = Bearer(app).join(roles=["admin"]), person.id
    assert types(admin, user_id=mine, since=moments[4]) == STORY[:2]
    assert types(admin, user_id=mine, until=moments[4]) == STORY[2:]
    assert types(admin, user_id=mine, since=moments[1], until=moments[3]) == STORY[3:5]
    assert types(admin, user_id=mine, since=moments[3], until=moments[3]) == []


def test_a_moment_is_the_same_in_every_zone(app: Flask, clock) -> None:
    person, moments = story(app, clock)
    admin = Bearer(app).join(roles=["admin"])
    (hour, rest) = moments[4][11:13], moments[4][13:26]
    elsewhere = f"{moments[4][:11]}{int(hour) + 2:02}{rest}+02:00"
    assert types(admin, user_id=person.id, since=elsewhere) == STORY[:2]


@pytest.mark.parametrize("limit", [1, 2, 5, 6])
def test_pages_have_no_duplicates_and_no_gaps_while_things_happen(app: Flask, clock, limit: int) -> None:
    """The events of one moment too: the clock stands still."""
    admin, person = Bearer(app).join(roles=["admin"]), Bearer(app)
    person.register()
    for _ in range(5):
        person.login()
    query = {"user_id": person.id, "limit": limit}
    seen, page = [], admin.get(EVENTS, query_string=query)
    while True:
        seen += [each["id"] for each in page.json["items"]]
        if page.json["next_cursor"] is None:
            break
        clock.shift(1)
        person.login()
        link = page.headers["Link"].partition(">")[0].removeprefix("<")
        by_cursor = admin.get(EVENTS, query_string={**query, "cursor": page.json["next_cursor"]})
        page = admin.get(link)
        assert page.json == by_cursor.json
    assert len(seen) == len(set(seen)) == 6


@pytest.mark.parametrize(
    "query",
    [{"type": "nonsense"}, {"type": ""}, {"user_id": "me"}, {"user_id": ""}, {"since": "yesterday"}, {"since": "2026-11-22"},
     {"until": "2026-11-22T12:00:00"}, {"until": "1700000000"}, {"limit": "0"}, {"limit": "101"}, {"cursor": "nonsense"},
     {"actor_id": str(uuid.uuid4())}, {"type": ["signed_in", "refreshed"]}],
)  # fmt: skip
def test_a_filter_that_breaks_the_rules_is_refused(admin: Bearer, query: dict[str, Any]) -> None:
    answer = admin.get(EVENTS, query_string=query)
    assert (answer.status_code, {each["parameter"] for each in answer.json["errors"]}) == (422, set(query))


@pytest.mark.parametrize("moment", ["9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59"])
def test_the_edges_of_time_are_no_error(admin: Bearer, moment: str) -> None:
    late = moment.startswith("9999")
    assert bool(listed(admin, user_id=admin.id, until=moment)) is late
    assert bool(listed(admin, user_id=admin.id, since=moment)) is not late


def test_failures_with_unknown_names_are_listed_without_the_name(app: Flask, admin: Bearer) -> None:
    """People type their password into the field of the name."""
    name = new_name()
    Bearer(app).request("POST", "/v1/auth/login", json={"username": name, "password": "Wrong-Horse-7"})
    answer = admin.get(EVENTS, query_string={"type": "sign_in_failed", "limit": 100})
    assert None in {each["user_id"] for each in answer.json["items"]}
    assert name not in answer.text


def test_only_administrators_read_the_log(user: Bearer) -> None:
    assert user.get(EVENTS).json["type"] == "/problems/role-required"
    assert user.get(EVENTS, query_string={"user_id": user.id}).status_code == 403
