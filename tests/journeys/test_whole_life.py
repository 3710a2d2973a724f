"""A whole life of an account, over HTTP alone, in each delivery."""

from flask import Flask

from tests.actors import Bearer

ME, SESSIONS = "/v1/users/me", "/v1/users/me/sessions"
COOKIES = ("keycard_access", "keycard_refresh", "keycard_csrf")


def test_a_person_registers_lives_with_the_account_and_leaves(app: Flask, actor_class: type[Bearer]) -> None:
    ada = actor_class(app)

    # She registers and signs in.
    registered = ada.register(email=f"{ada.name}@example.com", display_name="Ada")
    assert registered.status_code == 201
    assert ada.get(ME).status_code == 401
    signed_in = ada.login()
    assert (signed_in.status_code, signed_in.json["delivery"]) == (200, ada.delivery)
    assert ada.get(registered.headers["Location"]).json == registered.json

    # Her tokens are renewed, her session stays.
    first = ada.get("/v1/auth/session").json["session"]
    for _ in range(3):
        assert ada.refresh().status_code == 200
    assert ada.get("/v1/auth/session").json["session"]["id"] == first["id"]

    # She changes what she is called.
    assert ada.patch(ME, json={"display_name": "Countess"}).json["display_name"] == "Countess"

    # On her phone she signs in too, and sees both sessions.
    phone = Bearer(app, ada.name)
    phone.login()
    listed = ada.get(SESSIONS).json["items"]
    assert [each["current"] for each in listed] == [False, True]

    # She changes her password: the phone is signed out, she is not.
    new = "Battery-Staple-8"
    body = {"current_password": ada.password, "new_password": new}
    assert ada.keep(ada.put(f"{ME}/password", json=body)).status_code == 200
    assert phone.get(ME).json["type"] == "/problems/token-revoked"
    assert phone.refresh().json["type"] == "/problems/session-ended"
    assert phone.login().json["type"] == "/problems/invalid-credentials"
    assert [each["current"] for each in ada.get(SESSIONS).json["items"]] == [True]

    # She gives the new password again; the old one is not hers any more.
    assert ada.post("/v1/auth/reauthenticate", json={"password": ada.password}).status_code == 403
    again = ada.keep(ada.post("/v1/auth/reauthenticate", json={"password": new}))
    assert (again.status_code, again.json["session_id"]) == (200, first["id"])
    assert ada.get(ME).json["display_name"] == "Countess"

    # She signs out. Nothing she held works any more, and she can come back with the new password.
    cookies = {name: ada.client.get_cookie(name) for name in COOKIES}
    assert ada.logout().status_code == 204
    for name in COOKIES:
        if cookies[name]:
            ada.client.set_cookie(name, cookies[name].value)
    assert ada.get(ME).status_code == 401
    assert ada.refresh().status_code == 401
    ada.password = new
    assert ada.login().status_code == 200
    assert ada.get(ME).json["id"] == registered.json["id"]
