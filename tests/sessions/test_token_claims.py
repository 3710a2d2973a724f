"""Claims that we never issue, signed by our own key: a signature alone is no permission (RFC 8725, sections 3.8 to 3.11)."""

import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask

from tests.actors import Bearer
from tests.sessions.test_hostile_tokens import DOORS, Door, Forge, part, refused

REQUIRED = ("iss", "aud", "sub", "sid", "jti", "iat", "exp", "type", "fresh", "roles", "scope", "epoch")
TEXTS = ("iss", "aud", "sub", "sid", "jti", "type", "scope")
NUMBERS = ("iat", "exp", "epoch")
NOT_A_TEXT = (None, True, 1, 1.5, [], ["x"], {})
NOT_A_NUMBER = (None, "x", "4102444800", 4102444800.5, [], [4102444800], {}, float("inf"), float("nan"))
WRONG_TYPES = [
    *[(name, value) for name in TEXTS for value in NOT_A_TEXT],
    *[(name, value) for name in NUMBERS for value in NOT_A_NUMBER],
    *[("fresh", value) for value in (None, True, "x", "1", 1.5, [], {})],
    *[("roles", value) for value in (None, True, 1, "admin", {}, {"admin": 1}, [1], [None], [["admin"]])],
]
NOT_A_UUID = ("", "x", "{7c1b2a2e-8c1d-4c55-9b0e-5d8f6a7b9c01}", "urn:uuid:7c1b2a2e-8c1d-4c55-9b0e-5d8f6a7b9c01",
              "7c1b2a2e8c1d4c559b0e5d8f6a7b9c01", "7C1B2A2E-8C1D-4C55-9B0E-5D8F6A7B9C01", "7c1b2a2e-8c1d-4c55-9b0e-5d8f6a7b9c01 ",
              "\ud800", "' OR 1=1 --", "\x00", "1" * 4000)  # fmt: skip
ISSUER = "http://127.0.0.1:8000"
FOREIGN = (
    "",
    "https://evil.example",
    ISSUER + "/",
    ISSUER.upper(),
    ISSUER[:-1],
    ISSUER + " ",
    "127.0.0.1:8000",
    [ISSUER],
    {ISSUER: 1},
)
WRONG_VALUES = [
    *[("iss", value) for value in FOREIGN],
    *[("aud", value) for value in (*FOREIGN, [ISSUER, "https://evil.example"], "*")],
    *[(name, value) for name in ("sub", "sid", "jti") for value in NOT_A_UUID],
    *[("type", value) for value in ("", "Access", "REFRESH", "access ", "id", "reset", "access\x00", "\ud800")],
]
OTHER_KIND = {"access": "refresh", "refresh": "access"}
DEAD_SESSION = {"access": "token-revoked", "refresh": "session-ended"}


@pytest.fixture(scope="module")
def forge(new_app: Callable[..., Flask]) -> Forge:
    return Forge(new_app())


def try_every_door(forge: Forge, slug: str = "invalid-token", **changes: Any) -> None:
    for door in DOORS:
        for cookie in (False, True):
            claims = forge.claims(door.kind, cookie=cookie, **changes)
            answer = forge.present(door, forge.signed(forge.header(door.kind), claims), cookie=cookie)
            assert refused(answer, slug), (door.name, cookie)
    assert forge.unharmed()


@pytest.mark.parametrize("name", REQUIRED)
def test_a_token_without_a_claim_is_refused(forge: Forge, name: str) -> None:
    for door in DOORS:
        for cookie in (False, True):
            claims = forge.claims(door.kind, cookie=cookie)
            assert claims.pop(name) is not None
            token = forge.signed(forge.header(door.kind), claims)
            assert refused(forge.present(door, token, cookie=cookie)), (door.name, cookie)
    assert forge.unharmed()


@pytest.mark.parametrize(("name", "value"), WRONG_TYPES)
def test_a_claim_of_another_json_type_is_refused(forge: Forge, name: str, value: Any) -> None:
    """ "1" is not 1, true is not 1, and a list of one string is not the string."""
    try_every_door(forge, **{name: value})


@pytest.mark.parametrize(("name", "value"), WRONG_VALUES)
def test_a_claim_with_a_value_of_somebody_else_is_refused(forge: Forge, name: str, value: Any) -> None:
    try_every_door(forge, **{name: value})


@pytest.mark.parametrize(
    "epoch", [-1, 1, 2**31, 2**63, 2**64, 10**400], ids=lambda epoch: f"{epoch:.0e}" if epoch < 2**65 else "1e400"
)
def test_an_epoch_that_is_not_the_users_is_refused(forge: Forge, epoch: int) -> None:
    """Whatever the number is, also one that no database column holds."""
    wrong = forge.claims("access")["epoch"] + epoch
    for door in DOORS[:4]:
        token = forge.signed(forge.header("access"), forge.claims("access", epoch=wrong))
        answer = forge.present(door, token)
        assert answer.status_code == 401
        assert answer.json["type"] in {"/problems/token-revoked", "/problems/invalid-token"}
    assert forge.unharmed()


@pytest.mark.parametrize("seconds", [0, -1, -86_400 * 365, -1_700_000_000])
def test_an_expired_token_says_so(forge: Forge, seconds: float) -> None:
    try_every_door(forge, "token-expired", exp=int(time.time() + seconds))


def test_a_token_is_good_until_its_last_second(app: Flask, clock) -> None:
    person = Bearer(app).join()
    clock.shift(899)
    assert person.get("/v1/users/me").status_code == 200
    clock.shift(1)
    assert refused(person.get("/v1/users/me"), "token-expired")
    clock.shift(7 * 86_400)
    assert refused(person.refresh(), "token-expired")


def test_a_token_issued_in_the_future_is_refused_beyond_the_skew(forge: Forge) -> None:
    """Clocks differ by seconds; a token from the next hour was made by nobody."""
    try_every_door(forge, iat=int(time.time()) + 3600)
    soon = forge.claims("access", iat=int(time.time()) + 30)
    assert forge.present(DOORS[0], forge.signed(forge.header("access"), soon)).status_code == 200


@pytest.mark.parametrize("value", [4102444800, "x", [], {}])
def test_a_token_that_is_not_valid_yet_is_refused(forge: Forge, value: Any) -> None:
    try_every_door(forge, nbf=value)


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.name)
@pytest.mark.parametrize("cookie", [False, True], ids=["header", "cookie"])
def test_one_kind_of_token_is_not_the_other(forge: Forge, door: Door, cookie: bool) -> None:
    """A refresh token opens no operation, an access token renews nothing, and another `typ` or `type` does not help."""
    other = OTHER_KIND[door.kind]
    genuine = forge.claims(other, cookie=cookie)
    tokens = [forge.signed(forge.header(door.kind), genuine), forge.signed(forge.header(other), genuine | {"type": door.kind})]
    if cookie or not door.name.startswith("logout"):  # logout takes both kinds from a header
        tokens.append(forge.genuine(other, cookie=cookie))
    for token in tokens:
        assert refused(forge.present(door, token, cookie=cookie))
    assert forge.unharmed()


@pytest.mark.parametrize("name", ["sub", "sid"])
def test_a_token_for_another_persons_session_is_dead(forge: Forge, name: str) -> None:
    """Person and session belong together: neither can be exchanged for another one that exists."""
    other = Bearer(forge.app).join(roles=["user", "admin"])
    me = other.get("/v1/auth/session").json
    value = {"sub": me["user"]["id"], "sid": me["session"]["id"]}[name]
    for door in (*DOORS[:4], DOORS[-1]):
        token = forge.signed(forge.header(door.kind), forge.claims(door.kind, **{name: value}))
        assert forge.present(door, token).status_code == 401, door.name
    assert other.get("/v1/users/me").status_code == 200
    assert forge.unharmed()


@pytest.mark.parametrize("name", ["sub", "sid"])
@pytest.mark.parametrize("kind", ["access", "refresh"])
def test_logout_ends_nothing_that_person_and_session_do_not_both_name(forge: Forge, name: str, kind: str) -> None:
    other = Bearer(forge.app).join()
    me = other.get("/v1/auth/session").json
    value = {"sub": me["user"]["id"], "sid": me["session"]["id"]}[name]
    door = next(door for door in DOORS if door.name == f"logout with {kind}")
    forge.present(door, forge.signed(forge.header(kind), forge.claims(kind, **{name: value})))
    assert other.get("/v1/users/me").status_code == 200
    assert forge.unharmed()


@pytest.mark.parametrize("name", ["sub", "sid"])
def test_a_token_of_nobody_is_dead(forge: Forge, name: str) -> None:
    """A well-formed id that no row has."""
    for door in (*DOORS[:4], DOORS[-1]):
        token = forge.signed(forge.header(door.kind), forge.claims(door.kind, **{name: str(uuid.uuid4())}))
        assert refused(forge.present(door, token), DEAD_SESSION[door.kind]), door.name
    assert forge.unharmed()


def test_a_name_given_twice_hides_nothing(forge: Forge) -> None:
    """With two values of one claim, a check that reads the first and a use that reads the last must not differ."""
    claims = part(forge.claims("access"))
    signature = forge.genuine("access").rpartition(".")[2]
    header = b'{"alg":"none","typ":"at+jwt","kid":"x","alg":"EdDSA"}'
    assert refused(forge.present(DOORS[0], f"{part(header)}.{claims}.{signature}"))
