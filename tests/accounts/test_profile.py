"""Reading and changing one's own profile."""

from typing import Any

import pytest
from flask import Flask

from tests.actors import Bearer

ME = "/v1/users/me"


def test_a_person_sees_their_own_account(person: Bearer) -> None:
    body = person.get(ME).json
    assert (body["username"], body["roles"], body["status"]) == (person.name, ["user"], "active")


def test_an_anonymous_caller_has_no_profile(anybody: Bearer) -> None:
    for answer in (anybody.get(ME), anybody.patch(ME, json={"display_name": "Eve"})):
        assert (answer.status_code, answer.json["type"]) == (401, "/problems/authentication-required")


def test_a_display_name_is_changed(person: Bearer) -> None:
    changed = person.patch(ME, json={"display_name": "Countess"})
    assert (changed.status_code, changed.json["display_name"]) == (200, "Countess")
    assert person.get(ME).json == changed.json


def test_what_is_left_out_stays(app: Flask) -> None:
    person = Bearer(app).join(display_name="Ada", email="ada@example.com")
    before = person.get(ME).json
    assert person.patch(ME, json={}).json == before
    after = person.patch(ME, json={"display_name": "Countess"}).json
    volatile = {"display_name": "Countess", "updated_at": after["updated_at"]}
    assert after == before | volatile
    assert after["updated_at"] > before["updated_at"]


def test_null_empties_the_display_name(app: Flask) -> None:
    person = Bearer(app).join(display_name="Ada")
    assert person.patch(ME, json={"display_name": None}).json["display_name"] is None
    assert person.get(ME).json["display_name"] is None


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("roles", ["admin"]),
        ("status", "active"),
        ("email_verified", True),
        ("email", "eve@example.com"),
        ("username", "eve"),
        ("password", "Battery-Staple-8"),
        ("id", "7c1b2a2e-8c1d-4c55-9b0e-5d8f6a7b9c01"),
        ("nickname", "Eve"),
    ],
)
def test_what_is_not_part_of_the_profile_is_refused(user: Bearer, member: str, value: Any) -> None:
    """Mass assignment: one wrong member, and nothing is changed, the right ones included."""
    before = user.get(ME).json
    answer = user.patch(ME, json={"display_name": "Eve", member: value})
    assert (answer.status_code, [fault["pointer"] for fault in answer.json["errors"]]) == (422, [f"/{member}"])
    assert user.get(ME).json == before


@pytest.mark.parametrize("value", ["", "x" * 81, "Ada\u0000", 7, True, ["Ada"], {"a": 1}])
def test_a_display_name_that_breaks_the_rules_is_refused(user: Bearer, value: Any) -> None:
    answer = user.patch(ME, json={"display_name": value})
    assert (answer.status_code, [fault["pointer"] for fault in answer.json["errors"]]) == (422, ["/display_name"])


@pytest.mark.parametrize("body", ["[]", '"Ada"', "1", "null"])
def test_a_body_that_is_no_object_is_refused(user: Bearer, body: str) -> None:
    assert user.patch(ME, data=body, content_type="application/json").status_code == 422


def test_a_change_touches_nobody_else(app: Flask, user: Bearer) -> None:
    other = Bearer(app).join(display_name="Grace")
    before = other.get(ME).json
    user.patch(ME, json={"display_name": "Ada"})
    assert other.get(ME).json == before
