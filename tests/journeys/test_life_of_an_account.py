"""The life of an account whose owner has an address: proven, used, lost and changed; over HTTP and mail alone."""

from flask import Flask

from tests.actors import Bearer
from tests.mailbox import Mailbox, new_address

ME, AUTH = "/v1/users/me", "/v1/auth"


def test_a_person_proves_an_address_forgets_the_password_moves_and_leaves(new_app, actor_class: type[Bearer]) -> None:
    app: Flask = new_app()
    mailbox, ada = Mailbox(app), actor_class(app)
    home, work = new_address(), new_address()

    # She registers with her address, and proves it with what is mailed there.
    assert ada.register(email=home).json["email_verified"] is False
    assert ada.request("POST", f"{AUTH}/email/verify", json={"token": mailbox.token(home)}).status_code == 204

    # She signs in with it, in her own spelling, and her session goes on.
    assert ada.login(username=home.lower()).status_code == 200
    assert (ada.get(ME).json["username"], ada.get(ME).json["email_verified"]) == (ada.name, True)
    assert ada.refresh().status_code == 200

    # She forgets the password. A new one ends her session, and she signs in with it.
    assert ada.request("POST", f"{AUTH}/password/forgot", json={"email": home}).status_code == 202
    reset = {"token": mailbox.token(home), "new_password": "Battery-Staple-8"}
    visitor = Bearer(app)
    assert visitor.request("POST", f"{AUTH}/password/reset", json=reset).status_code == 204
    assert ada.get(ME).status_code == 401
    assert Bearer(app, ada.name).login().status_code == 401
    ada.password = "Battery-Staple-8"
    assert ada.login().status_code == 200

    # She moves to another address: the old one gets a notice, the new one is verified where she asked.
    assert ada.put(f"{ME}/email", json={"email": work}).status_code == 202
    assert ada.get(ME).json["email"] == home
    assert ada.get(ME).json["pending_email"] == work
    assert ada.post(f"{AUTH}/email/verify", json={"token": mailbox.token(work)}).status_code == 204
    assert (ada.get(ME).json["email"], ada.get(ME).json["pending_email"]) == (work, None)
    assert mailbox.subjects(home) == [
        "Confirm your e-mail address",
        "Choose a new password",
        "Your password was changed",
        "Your e-mail address is about to change",
    ]

    # Her log tells all of it, newest first.
    told = ada.get(f"{ME}/events", query_string={"limit": 4})
    older = ada.get(f"{ME}/events", query_string={"cursor": told.json["next_cursor"]})
    assert [each["type"] for each in reversed(told.json["items"] + older.json["items"])] == [
        "registered",
        "email_verified",
        "signed_in",
        "refreshed",
        "password_reset_requested",
        "password_reset",
        "sign_in_failed",
        "signed_in",
        "email_change_requested",
        "email_changed",
    ]

    # She leaves.
    assert ada.delete(ME).status_code == 204
    assert ada.get(ME).status_code == 401
    assert ada.login(username=work).status_code == 401
    assert Bearer(app, ada.name).register().json["type"] == "/problems/username-taken"
    assert mailbox.subjects(work) == ["Confirm your new e-mail address", "Your account was deleted"]


def test_the_log_of_an_account_is_its_owners(app: Flask, user: Bearer) -> None:
    """Nobody else's events are in it, no query reaches them, and who is signed out reads nothing."""
    stranger = Bearer(app).join()
    shown = user.get(f"{ME}/events").json["items"]
    assert [each["type"] for each in shown] == ["signed_in", "registered"]
    assert {each["user_id"] for each in shown} == {user.id}
    for query in ({"user_id": stranger.id}, {"limit": "0"}, {"cursor": "x"}):
        answer = user.get(f"{ME}/events", query_string=query)
        assert (answer.status_code, [each["parameter"] for each in answer.json["errors"]]) == (422, list(query))
    user.logout()
    assert user.get(f"{ME}/events").json["type"] == "/problems/token-revoked"
