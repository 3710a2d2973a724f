"""Pages by cursor, seen on one list that everybody has: their sessions."""

import uuid
from urllib.parse import parse_qs, urlsplit

import pytest
from flask import Flask

from tests.actors import Bearer

SESSIONS = "/v1/users/me/sessions"


@pytest.fixture
def five(app: Flask) -> Bearer:
    """Somebody with five sessions."""
    person = Bearer(app).join()
    for _ in range(4):
        Bearer(app, person.name).login()
    return person


def page(person: Bearer, **query: object) -> dict:
    answer = person.get(SESSIONS, query_string=query)
    assert answer.status_code == 200
    return answer.json


def test_a_page_holds_at_most_the_limit_and_says_where_it_goes_on(five: Bearer) -> None:
    first = page(five, limit=2)
    second = page(five, limit=2, cursor=first["next_cursor"])
    third = page(five, limit=2, cursor=second["next_cursor"])
    assert [len(each["items"]) for each in (first, second, third)] == [2, 2, 1]
    assert third["next_cursor"] is None
    ids = [item["id"] for each in (first, second, third) for item in each["items"]]
    assert ids == [item["id"] for item in page(five)["items"]]


def test_a_last_page_that_is_exactly_full_is_known_as_the_last(five: Bearer) -> None:
    assert page(five, limit=5)["next_cursor"] is None
    assert page(five, limit=4)["next_cursor"]


def test_the_same_cursor_gives_the_same_page_again(five: Bearer) -> None:
    cursor = page(five, limit=2)["next_cursor"]
    assert page(five, limit=2, cursor=cursor) == page(five, limit=2, cursor=cursor)


def test_the_limit_may_change_on_the_way(five: Bearer) -> None:
    first = page(five, limit=1)
    rest = page(five, limit=100, cursor=first["next_cursor"])
    assert len(rest["items"]) == 4


def test_a_page_goes_on_behind_an_item_that_is_gone(five: Bearer) -> None:
    """A cursor is a place, not a row."""
    everything = [item["id"] for item in page(five)["items"]]
    first = page(five, limit=2)
    last = first["items"][-1]
    if last["current"]:
        last = first["items"][0]
    five.delete(f"{SESSIONS}/{last['id']}")
    rest = page(five, cursor=first["next_cursor"])
    assert [item["id"] for item in rest["items"]] == everything[2:]


def test_the_link_header_is_the_next_page_with_the_same_query(five: Bearer) -> None:
    answer = five.get(SESSIONS, query_string={"limit": 2})
    url, _, relation = answer.headers["Link"].partition(">; ")
    assert relation == 'rel="next"'
    parts = urlsplit(url.removeprefix("<"))
    assert parts.path == SESSIONS
    assert parse_qs(parts.query) == {"limit": ["2"], "cursor": [answer.json["next_cursor"]]}


def test_the_last_page_has_no_link(five: Bearer) -> None:
    assert "Link" not in five.get(SESSIONS).headers


@pytest.mark.parametrize("limit", ["1", "100"])
def test_the_smallest_and_the_largest_limit(five: Bearer, limit: str) -> None:
    assert len(page(five, limit=limit)["items"]) == min(5, int(limit))


@pytest.mark.parametrize(
    "limit", ["0", "101", "-1", "+5", " 5", "5 ", "5.0", "1e1", "0x5", "", "five", "\u0665", "9" * 30, "null"]
)
def test_any_other_limit_is_refused(user: Bearer, limit: str) -> None:
    answer = user.get(SESSIONS, query_string={"limit": limit})
    assert (answer.status_code, {fault["parameter"] for fault in answer.json["errors"]}) == (422, {"limit"})


@pytest.mark.parametrize(
    "cursor",
    ["", "x", "1", "-", f"1-{'g' * 32}", f"1-{'A' * 32}", f"-1-{'a' * 32}", f"1-{'a' * 31}", f"1-{'a' * 33}", f"1-{'a' * 32}\n",
     f"{'1' * 17}-{'a' * 32}", f"1-{uuid.UUID(int=0)}", "' OR 1=1 --", f"1-{'a' * 32}\u0000", f"\u0665-{'a' * 32}"],
)  # fmt: skip
def test_what_is_no_cursor_is_refused(user: Bearer, cursor: str) -> None:
    answer = user.get(SESSIONS, query_string={"cursor": cursor})
    assert (answer.status_code, {fault["parameter"] for fault in answer.json["errors"]}) == (422, {"cursor"})


@pytest.mark.parametrize(
    ("cursor", "count"), [(f"0-{'0' * 32}", 0), (f"9999999999999999-{'f' * 32}", 1), (f"0000000000000001-{'f' * 32}", 0)]
)
def test_every_cursor_of_the_documented_form_is_a_place(user: Bearer, cursor: str, count: int) -> None:
    """Also before everything and behind everything."""
    assert len(page(user, cursor=cursor)["items"]) == count


def test_a_cursor_opens_nothing_of_somebody_else(five: Bearer, user: Bearer) -> None:
    cursor = page(five, limit=1)["next_cursor"]
    theirs = {item["id"] for item in page(five)["items"]}
    assert not theirs & {item["id"] for item in page(user, cursor=cursor)["items"]}


@pytest.mark.parametrize("query", ["limit=1&limit=2", "limit=1&limit=1"])
def test_a_parameter_given_twice_is_refused(user: Bearer, query: str) -> None:
    """Two programs on the way may read two different ones."""
    answer = user.get(f"{SESSIONS}?{query}")
    assert (answer.status_code, answer.json["errors"][0]["parameter"]) == (422, "limit")


@pytest.mark.parametrize("name", ["offset", "page", "Limit", "limit[]"])
def test_an_unknown_parameter_is_refused(user: Bearer, name: str) -> None:
    answer = user.get(SESSIONS, query_string={name: "1"})
    assert (answer.status_code, answer.json["errors"][0]["parameter"]) == (422, name)
