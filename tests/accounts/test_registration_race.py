"""Accounts at the same moment: one name for two people, one password for two changes, one administrator left."""

from collections.abc import Callable

import pytest
from flask import Flask

from api import admin as administration
from tests.actors import Bearer, new_name
from tests.processes.servers import simultaneously

ROUNDS = range(5)


@pytest.mark.parametrize("spell", [lambda name, _: name, lambda name, turn: name.upper() if turn % 2 else name.title()])
def test_of_simultaneous_registrations_of_a_name_one_wins(app: Flask, spell: Callable[[str, int], str]) -> None:
    """Also when they spell it differently: the unique constraint decides, and its refusal is an answer, not a crash."""
    for _ in ROUNDS:
        name = new_name()
        people = [Bearer(app, spell(name, turn)) for turn in range(16)]
        answers = simultaneously(*[each.register for each in people])
        assert sorted(each.status_code for each in answers) == [201] + [409] * 15
        assert {each.json["type"] for each in answers if each.status_code == 409} == {"/problems/username-taken"}
        assert people[0].login().status_code == 200


def test_of_simultaneous_registrations_of_two_names_both_succeed(app: Flask) -> None:
    people = [Bearer(app) for _ in range(8)]
    assert {each.status_code for each in simultaneously(*[each.register for each in people])} == {201}


def test_of_two_simultaneous_password_changes_one_counts(app: Flask) -> None:
    """Exactly one of the new passwords opens the account, the one whose change was answered with success."""
    for _ in ROUNDS:
        first = Bearer(app).join()
        second = Bearer(app, first.name)
        second.login()
        wanted = {first: "Battery-Staple-8", second: "Staple-Battery-9"}
        answers = simultaneously(
            *[
                lambda at=at, new=new: at.put(
                    "/v1/users/me/password", json={"current_password": at.password, "new_password": new}
                )
                for at, new in wanted.items()
            ]
        )
        assert sorted(each.status_code == 200 for each in answers) == [False, True]
        opened = [can_sign_in(app, first.name, password) for password in wanted.values()]
        assert opened == [each.status_code == 200 for each in answers]
        assert not can_sign_in(app, first.name, first.password)


def can_sign_in(app: Flask, name: str, password: str) -> bool:
    actor = Bearer(app, name)
    actor.password = password
    return actor.login().status_code == 200


def test_two_sessions_that_end_all_others_at_once_lock_nobody_up(app: Flask) -> None:
    """Neither waits for the other for ever, and no third session survives."""
    for _ in ROUNDS:
        first = Bearer(app).join()
        second, third = Bearer(app, first.name), Bearer(app, first.name)
        for each in (second, third):
            each.login()
        answers = simultaneously(
            lambda at=first: at.delete("/v1/users/me/sessions"), lambda at=second: at.delete("/v1/users/me/sessions")
        )
        assert {each.status_code for each in answers} <= {204, 401}
        assert 204 in {each.status_code for each in answers}
        assert third.get("/v1/users/me").status_code == 401
        assert 401 in {first.get("/v1/users/me").status_code, second.get("/v1/users/me").status_code}


@pytest.fixture(scope="module")
def own_app(new_app: Callable[..., Flask]) -> Flask:
    """An app without the administrators of other tests."""
    return new_app()


def test_of_two_administrators_who_demote_each_other_one_remains(own_app: Flask) -> None:
    """Nobody must be able to leave a service that nobody can administer."""
    people = [Bearer(own_app).join(roles=["admin"]) for _ in range(2)]
    ids = [each.id for each in people]
    for _ in ROUNDS:
        with own_app.app_context():
            for each in people:
                administration.set_roles(administration.find_by_username(each.name).id, {"user", "admin"})
        for each in people:
            each.login()
        answers = simultaneously(
            *[
                lambda at=at, other=other: at.put(f"/v1/admin/users/{other}/roles", json={"roles": ["user"]})
                for at, other in zip(people, reversed(ids), strict=True)
            ]
        )
        assert sum(each.status_code == 200 for each in answers) == 1
        with own_app.app_context():
            held = [administration.find_by_username(each.name).roles for each in people]
        assert sorted("admin" in roles for roles in held) == [False, True]
