"""Which roles an administrator may give, and what happens at once when they do; that roles are demanded: test_roles.py."""

from collections.abc import Callable

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from tests.actors import Bearer
from tests.processes.servers import simultaneously

USERS = "/v1/admin/users"


def set_roles(admin: Bearer, user_id: str, *roles: str) -> TestResponse:
    return admin.put(f"{USERS}/{user_id}/roles", json={"roles": list(roles)})


def roles_of(admin: Bearer, user_id: str) -> list[str]:
    found: list[str] = admin.get(f"{USERS}/{user_id}").json["roles"]
    return found


def test_nobody_gives_a_role_that_they_do_not_hold(admin: Bearer, user: Bearer) -> None:
    """The challenge says that a better token of the same person would not help."""
    answer = set_roles(admin, user.id, "user", "owner")
    assert (answer.status_code, answer.json["type"]) == (403, "/problems/role-not-held")
    assert "insufficient_scope" in answer.headers["WWW-Authenticate"]
    assert roles_of(admin, user.id) == ["user"]


def test_nobody_gives_themselves_a_role_that_they_do_not_hold(admin: Bearer) -> None:
    mine = roles_of(admin, admin.id)
    assert set_roles(admin, admin.id, *mine, "owner").json["type"] == "/problems/role-not-held"
    assert roles_of(admin, admin.id) == mine


def test_a_role_that_somebody_holds_may_stay(app: Flask, admin: Bearer) -> None:
    """An administrator changes the other roles of an owner. That one they can neither give nor take."""
    owner = Bearer(app).join(roles=["user", "owner"]).id
    assert set_roles(admin, owner, "owner", "editor").json["roles"] == ["editor", "owner"]
    answer = set_roles(admin, owner, "editor")
    assert (answer.status_code, answer.json["type"]) == (403, "/problems/role-not-held")
    assert roles_of(admin, owner) == ["editor", "owner"]


def test_a_role_that_was_just_taken_from_an_administrator_cannot_be_given(app: Flask, admin: Bearer, user: Bearer) -> None:
    """What they hold now counts, not what they held when they signed in."""
    other = Bearer(app).join(roles=["admin", "editor"])
    assert set_roles(admin, other.id, "admin").status_code == 200
    other.refresh()
    other.reauthenticate()
    assert set_roles(other, user.id, "editor").json["type"] == "/problems/role-not-held"


def test_nobody_gives_up_being_an_administrator_by_accident(admin: Bearer) -> None:
    """Although there are others: who wants to be none any more asks one of them."""
    for roles in ((), ("user", "editor")):
        answer = set_roles(admin, admin.id, *roles)
        assert (answer.status_code, answer.json["type"]) == (409, "/problems/own-account")
    assert "admin" in roles_of(admin, admin.id)


def test_administrators_give_up_their_other_roles(admin: Bearer) -> None:
    """Effective at once: the token of this request is the last with the old ones."""
    mine = admin.id
    assert set_roles(admin, mine, "admin").status_code == 200
    assert admin.get(USERS).json["type"] == "/problems/token-revoked"
    admin.refresh()
    assert roles_of(admin, mine) == ["admin"]


def test_the_answer_bears_the_etag_of_the_new_version(admin: Bearer, user: Bearer) -> None:
    user_id = user.id
    seen = admin.get(f"{USERS}/{user_id}").headers["ETag"]
    answer = set_roles(admin, user_id, "user", "editor")
    assert answer.headers["ETag"] == admin.get(f"{USERS}/{user_id}").headers["ETag"] != seen
    assert set_roles(admin, user_id, "editor", "user").headers["ETag"] == answer.headers["ETag"]


def test_of_simultaneous_changes_one_stands_as_a_whole(app: Flask, admin: Bearer) -> None:
    """Never a mixture of what two administrators wanted."""
    wanted = [["admin"], ["auditor", "editor"], ["user"], []]
    for _ in range(3):
        user_id, admins = Bearer(app).join().id, [Bearer(app) for _ in wanted]
        for each in admins:
            each.access_token = admin.access_token
        calls = zip(admins, wanted, strict=True)
        answers = simultaneously(*[lambda at=at, ro=ro, user_id=user_id: set_roles(at, user_id, *ro) for at, ro in calls])
        assert {each.status_code for each in answers} == {200}
        assert roles_of(admin, user_id) in wanted


@pytest.fixture
def lonely(new_app: Callable[..., Flask]) -> Bearer:
    """The only administrator of an app."""
    return Bearer(new_app()).join(roles=["admin"])


def test_administrators_who_demote_each_other_at_the_same_moment_leave_one(lonely: Bearer) -> None:
    one, other = lonely, Bearer(lonely.app).join(roles=["admin"])
    for _ in range(4):
        first, second = one.id, other.id
        answers = simultaneously(lambda id_=second: set_roles(one, id_), lambda id_=first: set_roles(other, id_))
        assert sorted(each.status_code for each in answers) in ([200, 401], [200, 403], [200, 409])
        for each in (one, other):
            each.refresh()
            each.reauthenticate()
        able = [each for each in (one, other) if each.get(USERS).status_code == 200]
        assert len(able) == 1
        (lost,) = {one, other} - set(able)
        assert set_roles(able[0], lost.id, "admin").status_code == 200
        lost.refresh()
