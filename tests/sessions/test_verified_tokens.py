"""A signature is checked once; everything that can change is looked at every time."""

import json
from typing import Any

import pytest
from flask import Blueprint, Flask
from flask_jwt_extended import get_jwt, get_jwt_header, jwt_required

from api.extensions import MAX_VERIFIED, VERIFIED, Verified, VerifiedTokens, jwt
from api.keys import rotation
from api.keys.keyring import keyring
from tests.actors import Bearer

ME = "/v1/users/me"


def kinds(kept: dict[bytes, Verified]) -> list[str]:
    return [json.loads(each.claims)["type"] for each in kept.values()]


def refused(person: Bearer, token: str, slug: str) -> None:
    answer = Bearer(person.app).request("GET", ME, token=token)
    assert (answer.status_code, answer.json["type"]) == (401, f"/problems/{slug}")


def test_a_remembered_token_expires(app: Flask, clock) -> None:
    user = Bearer(app).join()
    assert user.get(ME).status_code == 200
    clock.shift(899)
    assert user.get(ME).status_code == 200
    clock.shift(2)
    refused(user, user.access_token, "token-expired")


def test_a_remembered_token_from_the_future_is_refused(app: Flask, clock) -> None:
    """A clock that is put back must not find a token good that it would refuse at first sight."""
    user = Bearer(app).join()
    assert user.get(ME).status_code == 200
    clock.shift(-902)
    refused(user, user.access_token, "invalid-token")


def test_a_remembered_token_is_revoked_at_once(person: Bearer) -> None:
    token = person.access_token or person.client.get_cookie("keycard_access").value
    assert person.get(ME).status_code == 200
    person.logout()
    refused(person, token, "token-revoked")


def test_a_remembered_token_dies_with_its_key(new_app) -> None:
    app = new_app()
    user = Bearer(app).join()
    assert user.get(ME).status_code == 200
    with app.app_context():
        rotation.rotate(compromised=True)
        keyring().forget()
    refused(user, user.access_token, "invalid-token")


def test_the_same_claims_under_another_signature_are_another_token(user: Bearer) -> None:
    assert user.get(ME).status_code == 200
    start, _, signature = user.access_token.rpartition(".")
    refused(user, f"{start}.{'A' if signature[0] != 'A' else 'B'}{signature[1:]}", "invalid-token")


def spoil(value: Any) -> None:
    """Change everything that can be changed, at every depth."""
    if isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            spoil(each)
        value.clear()


@pytest.mark.parametrize("remembered", ["signed here", "signed elsewhere"])
def test_what_a_request_does_with_its_claims_does_not_reach_the_next(new_app, remembered: str) -> None:
    """Neither through `get_jwt()` nor through the header, and not through a list in it."""
    own = Blueprint("spoiling", __name__)

    @own.get("/spoil")
    @jwt_required()
    def take() -> dict[str, Any]:
        found: dict[str, Any] = json.loads(json.dumps({"claims": get_jwt(), "header": get_jwt_header()}))
        spoil([get_jwt(), get_jwt_header()])
        return found

    app = new_app()
    app.register_blueprint(own)
    user = Bearer(app).join(roles=["editor"])
    if remembered == "signed elsewhere":
        app.extensions[VERIFIED] = VerifiedTokens()
    first, second, third = (user.get("/spoil").json for _ in range(3))
    assert first["claims"]["roles"] == ["editor", "user"]
    assert first == second == third
    assert user.get(ME).status_code == 200


def test_a_published_key_is_the_caller_s_own(app: Flask) -> None:
    with app.app_context():
        before = [{**each} for each in keyring().published()]
        spoil(keyring().published())
        assert keyring().published() == before


def test_what_is_remembered_of_a_token_is_what_it_says(new_app) -> None:
    """Of one that was signed here as of one whose signature was checked."""
    app = new_app()
    user = Bearer(app).join()
    with app.app_context():
        for token in (user.access_token, user.refresh_token):
            signed = jwt.verify(token)
            app.extensions[VERIFIED] = VerifiedTokens()
            assert jwt.verify(token) == signed
            assert jwt.verify(token) == signed


def test_only_good_tokens_are_remembered_and_of_others_only_access_tokens(new_app) -> None:
    app = new_app()
    user = Bearer(app).join()
    kept = app.extensions[VERIFIED]._found
    assert kinds(kept) == ["access", "refresh"]
    kept.clear()
    refused(user, user.access_token + "A", "invalid-token")
    with app.app_context():
        jwt.verify(user.refresh_token)
    assert len(kept) == 0
    user.get(ME)
    assert kinds(kept) == ["access"]


def test_no_more_tokens_are_remembered_than_there_is_room_for() -> None:
    """The oldest goes first."""
    tokens = VerifiedTokens()
    for number in range(MAX_VERIFIED + 10):
        tokens.put(str(number), Verified(None, b"{}", b"%d" % number))
    assert len(tokens._found) == MAX_VERIFIED
    assert tokens.get("9") is None
    assert tokens.get("10").claims == b"10"
