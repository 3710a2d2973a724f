"""Rotating signing keys in one app, with a clock that can be moved; with processes: tests/processes/test_key_rotation.py."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import jwt
import pytest
from flask import Flask
from jwt import InvalidTokenError
from sqlalchemy import delete, select

from api import keys
from api.database import fetch_all, transaction
from api.keys import keyring
from api.keys.cli import keys_cli
from tests.actors import Bearer
from tests.conftest import Stores
from tests.processes.servers import simultaneously

PUBLISHED_BEFORE = 300
REFRESH_LIFETIME = 604_800


@pytest.fixture(scope="module")
def stores(new_stores: Callable[[], Stores]) -> Stores:
    return new_stores()


@pytest.fixture(scope="module")
def shared_app(new_app: Callable[..., Flask], stores: Stores) -> Flask:
    return new_app(stores=stores)


@pytest.fixture
def own_app(clock, shared_app: Flask) -> Flask:
    """An app with one key, which was made when the clock stood still."""
    with shared_app.app_context():
        with transaction() as database:
            database.execute(delete(keys.SigningKey))
        keys.ensure_current()
        keys.keyring().forget()
    return shared_app


def kid(token: str) -> str:
    return str(jwt.get_unverified_header(token)["kid"])


def rotate(app: Flask, **how: bool) -> str:
    with app.app_context():
        return keys.rotate(**how).kid


def published(app: Flask) -> list[str]:
    return [key["kid"] for key in Bearer(app).request("GET", "/.well-known/jwks.json").json["keys"]]


def verified(app: Flask, token: str) -> dict[str, Any]:
    """Verify as a third party does: from the published key set alone."""
    key = jwt.PyJWKSet.from_dict(Bearer(app).request("GET", "/.well-known/jwks.json").json)[kid(token)]
    issuer = Bearer(app).request("GET", "/.well-known/oauth-authorization-server").json["issuer"]
    return jwt.decode(token, key, algorithms=[key.algorithm_name], audience=issuer, issuer=issuer)


def test_a_new_key_is_published_before_it_signs(own_app: Flask, clock) -> None:
    """Whoever keeps the key set for its max-age has the new key before its first token arrives."""
    (old,) = published(own_app)
    new = rotate(own_app)
    assert published(own_app) == [new, old]
    clock.shift(PUBLISHED_BEFORE - 1)
    assert kid(Bearer(own_app).join().access_token) == old
    clock.shift(1)
    user = Bearer(own_app).join()
    assert (kid(user.access_token), kid(user.refresh_token)) == (new, new)


def test_the_key_set_may_be_kept_as_long_as_a_new_key_waits(own_app: Flask) -> None:
    answer = Bearer(own_app).request("GET", "/.well-known/jwks.json")
    assert answer.headers["Cache-Control"] == f"public, max-age={PUBLISHED_BEFORE}"


def test_an_old_key_verifies_until_its_last_token_has_expired(own_app: Flask, clock) -> None:
    """The last token it signs is a refresh token, one second before the new key takes over."""
    (old,) = published(own_app)
    new = rotate(own_app)
    clock.shift(PUBLISHED_BEFORE - 1)
    user = Bearer(own_app).join()
    clock.shift(REFRESH_LIFETIME - 1)
    assert published(own_app) == [new, old]
    assert user.refresh().status_code == 200
    assert kid(user.refresh_token) == new
    clock.shift(2)
    assert published(own_app) == [new]


def test_a_retired_key_verifies_nothing_more(own_app: Flask, clock) -> None:
    """Not even a token whose own time has not come, which a thief of the key could have made."""
    user = Bearer(own_app).join()
    rotate(own_app)
    clock.shift(PUBLISHED_BEFORE + REFRESH_LIFETIME)
    assert user.get("/v1/users/me").json["type"] == "/problems/invalid-token"


def test_rotating_twice_keeps_every_key_whose_tokens_live(own_app: Flask, clock) -> None:
    (first,) = published(own_app)
    second = rotate(own_app)
    clock.shift(PUBLISHED_BEFORE)
    user = Bearer(own_app).join()
    third = rotate(own_app)
    assert published(own_app) == [third, second, first]
    clock.shift(PUBLISHED_BEFORE)
    assert (kid(user.refresh_token), user.refresh().status_code) == (second, 200)
    assert kid(user.refresh_token) == third


def test_two_rotations_in_one_waiting_time_leave_a_key_that_signs(own_app: Flask, clock) -> None:
    """An operator who presses twice locks nobody out."""
    (first,) = published(own_app)
    rotate(own_app)
    clock.shift(10)
    third = rotate(own_app)
    user = Bearer(own_app).join()
    assert kid(user.access_token) == first
    clock.shift(PUBLISHED_BEFORE)
    assert user.refresh().status_code == 200
    assert kid(user.access_token) == third
    assert verified(own_app, user.access_token)["sub"] == user.id


def test_a_compromised_rotation_kills_every_token_at_once(own_app: Flask) -> None:
    user = Bearer(own_app).join()
    new = rotate(own_app, compromised=True)
    assert user.get("/v1/users/me").json["type"] == "/problems/invalid-token"
    assert user.refresh().json["type"] == "/problems/invalid-token"
    assert published(own_app) == [new]
    assert user.login().status_code == 200
    assert kid(user.access_token) == new
    assert user.get("/v1/users/me").status_code == 200


def test_a_compromised_rotation_holds_at_the_next_request_of_every_process(
    own_app: Flask, new_app: Callable[..., Flask], stores: Stores
) -> None:
    """The other one has read the keys a moment ago. It refuses each kind of token, and signs with the new key at once."""
    other = new_app(stores=stores)
    stays, leaves, renews = (Bearer(other).join() for _ in range(3))
    assert stays.get("/v1/users/me").status_code == 200
    new = rotate(own_app, compromised=True)
    assert stays.get("/v1/users/me").json["type"] == "/problems/invalid-token"
    assert stays.refresh().json["type"] == "/problems/invalid-token"
    assert leaves.refresh().json["type"] == "/problems/invalid-token"
    assert renews.reauthenticate().json["type"] == "/problems/invalid-token"
    assert stays.login().status_code == 200
    assert kid(stays.access_token) == new
    assert stays.get("/v1/users/me").status_code == 200


@pytest.mark.parametrize("seconds", [-600, 600])
def test_a_compromised_rotation_holds_although_its_clock_is_wrong(
    own_app: Flask, new_app: Callable[..., Flask], stores: Stores, clock, seconds: int
) -> None:
    """The operator's machine is ten minutes behind the servers, or ahead of them."""
    other = new_app(stores=stores)
    user = Bearer(other).join()
    clock.shift(seconds)
    rotate(own_app, compromised=True)
    clock.shift(-seconds)
    assert user.get("/v1/users/me").json["type"] == "/problems/invalid-token"
    assert user.login().status_code == 200
    assert user.get("/v1/users/me").status_code == 200


def test_the_first_request_after_a_compromised_rotation_may_be_any(
    own_app: Flask, new_app: Callable[..., Flask], stores: Stores
) -> None:
    """Each asks the database by itself; none relies on another that has noticed."""
    calls: list[Callable[[Bearer], Any]] = [
        lambda user: user.get("/v1/users/me"),
        lambda user: user.refresh(),
        lambda user: user.reauthenticate(),
        lambda user: user.get("/v1/users/me/sessions"),
        lambda user: user.logout(),
        lambda user: user.request("DELETE", "/v1/auth/logout", token=user.refresh_token),
    ]
    for call in calls:
        other = new_app(stores=stores)
        user = Bearer(other).join()
        rotate(own_app, compromised=True)
        assert call(user).json["type"] == "/problems/invalid-token"
        assert Bearer(other, user.name).login().status_code == 200


@pytest.mark.parametrize("kind", ["access_token", "refresh_token"])
def test_a_sign_out_right_after_a_rotation_counts(
    own_app: Flask, new_app: Callable[..., Flask], stores: Stores, kind: str
) -> None:
    """In a process that has not read the keys since, too: a 204 that ends nothing would leave the tokens to whoever has them."""
    other = new_app(stores=stores)
    user = Bearer(other).join()
    rotate(own_app)
    assert user.request("DELETE", "/v1/auth/logout", token=getattr(user, kind)).status_code == 204
    assert user.get("/v1/users/me").status_code == 401


def test_a_compromised_rotation_withdraws_a_key_that_still_waited(own_app: Flask, clock) -> None:
    """The key that was published for later was in the same stolen database."""
    waiting = rotate(own_app)
    new = rotate(own_app, compromised=True)
    assert published(own_app) == [new]
    clock.shift(PUBLISHED_BEFORE + 1)
    assert waiting not in published(own_app)
    assert kid(Bearer(own_app).join().access_token) == new


def test_nobody_stands_in_line_while_the_keys_are_read(own_app: Flask) -> None:
    """A database that does not answer would let every thread wait in turn. A key that nobody knows yet is worth it."""
    with own_app.app_context():
        ring = keyring()
        known = ring.signing().kid
        ring._loaded -= 3600
        ring._lock.acquire()  # somebody is reading, and does not come back
        assert ring.verifying(known).kid == known
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(_verifying, own_app, "unknown")
            assert wait([waiting], timeout=0.2).not_done
            ring._lock.release()
            with pytest.raises(InvalidTokenError):
                waiting.result()


def _verifying(app: Flask, kid: str) -> Any:
    with app.app_context():
        return keyring().verifying(kid)


@pytest.mark.parametrize("algorithm", ["EdDSA", "RS256"])
def test_a_third_party_verifies_with_the_published_keys_alone(
    new_app: Callable[..., Flask], stores: Stores, algorithm: str
) -> None:
    """It accepts our token and refuses one whose claims were changed."""
    app = new_app(stores=stores, jwt_algorithm=algorithm)
    user = Bearer(app).join()
    assert jwt.get_unverified_header(user.access_token)["alg"] == algorithm
    assert verified(app, user.access_token)["sub"] == user.id
    head, body, signature = user.access_token.split(".")
    other = Bearer(app).join().access_token.split(".")[1]
    assert other != body
    with pytest.raises(jwt.InvalidSignatureError):
        verified(app, f"{head}.{other}.{signature}")


def test_the_published_keys_hold_no_private_member(new_app: Callable[..., Flask], stores: Stores) -> None:
    for algorithm in ("EdDSA", "RS256"):
        app = new_app(stores=stores, jwt_algorithm=algorithm)
        found = Bearer(app).request("GET", "/.well-known/jwks.json").json["keys"]
        assert algorithm in {key["alg"] for key in found}
        for key in found:
            assert not set(key) & {"d", "p", "q", "dp", "dq", "qi", "k"}
            assert {"kid", "alg", "use", "kty"} <= set(key)


def test_every_key_has_128_bits_of_strength(new_app: Callable[..., Flask], stores: Stores) -> None:
    """NIST SP 800-57: Ed25519, and RSA with 3072 bits."""
    found = {}
    for algorithm in ("EdDSA", "RS256"):
        app = new_app(stores=stores, jwt_algorithm=algorithm)
        keys = jwt.PyJWKSet.from_dict(Bearer(app).request("GET", "/.well-known/jwks.json").json).keys
        found |= {each.key_id: each for each in keys}
    strengths = {(each.algorithm_name, getattr(each.key, "key_size", 256)) for each in found.values()}
    assert strengths == {("EdDSA", 256), ("RS256", 3072)}


def test_another_algorithm_keeps_old_tokens_valid(new_app: Callable[..., Flask], stores: Stores) -> None:
    """From EdDSA to RS256 without signing anybody out; the refresh gives tokens of the new kind."""
    user = Bearer(new_app(stores=stores)).join()
    before = user.access_token
    changed = new_app(stores=stores, jwt_algorithm="RS256")
    user.client = changed.test_client()
    assert user.get("/v1/users/me").status_code == 200
    assert verified(changed, before)["sub"] == user.id
    assert user.refresh().status_code == 200
    assert jwt.get_unverified_header(user.access_token)["alg"] == "RS256"
    assert user.get("/v1/users/me").status_code == 200
    assert user.request("GET", "/v1/users/me", token=before).status_code == 200
    assert {kid(before), kid(user.access_token)} <= set(published(changed))


def test_the_command_line_prints_no_private_half(own_app: Flask) -> None:
    """Neither listing nor rotating: terminals are recorded and copied."""
    run = own_app.test_cli_runner().invoke
    printed = run(keys_cli, ["rotate"]).output + run(keys_cli, ["list"]).output
    assert all(name in printed for name in published(own_app))
    with own_app.app_context():
        pems = [row.private_key for row in fetch_all(select(keys.SigningKey.private_key))]
    lines = [line for pem in pems for line in pem.splitlines()]
    assert len(lines) == 6
    assert not [line for line in lines if line in printed]


def test_purging_deletes_only_keys_that_verify_nothing(own_app: Flask, clock) -> None:
    rotate(own_app)
    with own_app.app_context():
        assert keys.purge_retired() == 0
        clock.shift(PUBLISHED_BEFORE + REFRESH_LIFETIME)
        assert keys.purge_retired() == 1
    assert len(published(own_app)) == 1


def test_processes_that_start_together_make_one_key(new_app: Callable[..., Flask], stores: Stores, own_app: Flask) -> None:
    """Or some of them would for a moment refuse what the others sign, and every verifier would meet a key nobody needs."""
    apps = [own_app, new_app(stores=stores), new_app(stores=stores)]

    def begin(app: Flask) -> None:
        with app.app_context():
            keys.ensure_current()

    for _ in range(5):
        with own_app.app_context(), transaction() as database:
            database.execute(delete(keys.SigningKey))
        simultaneously(*[lambda app=app: begin(app) for app in apps])
        with own_app.app_context():
            assert len(keys.list_keys()) == 1
