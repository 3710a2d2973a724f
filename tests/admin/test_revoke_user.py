"""Killing every token of a user."""

import uuid

from flask import Flask

from tests.actors import Bearer

ME = "/v1/users/me"


def revoke(admin: Bearer, user_id: str) -> int:
    return admin.post(f"/v1/admin/users/{user_id}/revoke").status_code


def test_every_token_issued_until_now_is_dead(admin: Bearer, person: Bearer, app: Flask) -> None:
    other_device = Bearer(app, person.name)
    other_device.login()
    assert revoke(admin, person.id) == 204
    for one in (person, other_device):
        assert one.get(ME).json["type"] == "/problems/token-revoked"
        assert one.refresh().json["type"] == "/problems/session-ended"


def test_a_sign_in_in_the_same_second_works(app: Flask, actor_class: type[Bearer], clock) -> None:
    """`iat` counts whole seconds; what is dead must not depend on it. The clock stands still here."""
    administrator, person = Bearer(app).join(roles=["admin"]), actor_class(app).join()
    target = person.id
    for _ in range(2):
        assert revoke(administrator, target) == 204
        assert person.get(ME).status_code == 401
        assert person.login().status_code == 200
        assert person.get(ME).status_code == 200
        assert person.refresh().status_code == 200


def test_other_people_are_not_touched(admin: Bearer, user: Bearer, app: Flask) -> None:
    other = Bearer(app).join()
    revoke(admin, user.id)
    assert other.get(ME).status_code == 200
    assert other.refresh().status_code == 200
    assert admin.get(ME).status_code == 200


def test_an_administrator_can_revoke_themselves(admin: Bearer) -> None:
    assert revoke(admin, admin.id) == 204
    assert admin.get(ME).status_code == 401
    admin.login()
    assert admin.get("/v1/admin/users").status_code == 200


def test_revoking_twice_is_no_error(admin: Bearer, user: Bearer) -> None:
    target = user.id
    assert revoke(admin, target) == revoke(admin, target) == 204


def test_the_version_of_the_record_changes(admin: Bearer, user: Bearer) -> None:
    url = f"/v1/admin/users/{user.id}"
    before = admin.get(url).headers["ETag"]
    admin.post(f"{url}/revoke")
    assert admin.get(url).headers["ETag"] != before


def test_an_unknown_user_is_not_found(admin: Bearer) -> None:
    answer = admin.post(f"/v1/admin/users/{uuid.uuid4()}/revoke")
    assert (answer.status_code, answer.json["type"]) == (404, "/problems/no-such-user")


def test_a_user_revokes_nobody(user: Bearer, app: Flask) -> None:
    other = Bearer(app).join()
    assert revoke(user, other.id) == 403
    assert revoke(user, user.id) == 403
    assert other.get(ME).status_code == 200
