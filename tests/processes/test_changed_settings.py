"""Restarting with another key, secret or hash cost: nobody is signed out, and everybody can sign in."""

import re
import secrets
from collections.abc import Callable
from pathlib import Path

import jwt
import pytest
from sqlalchemy import create_engine, text

from tests.conftest import Stores
from tests.processes.servers import STOP_SECONDS, Server, Visitor, eventually

ME = "/v1/users/me"
Restart = Callable[..., Server]


@pytest.fixture
def stores(tmp_path: Path) -> Stores:
    """One kind is enough: where the rows are does not matter to what is signed."""
    return Stores("sqlite", f"sqlite:///{tmp_path}/keycard.sqlite3", None)


def change(server: Server, *without: str, **settings: str | int) -> Server:
    """Restart the server with other settings."""
    server.terminate()
    server.process.wait(STOP_SECONDS)
    for name in without:
        server.environment.pop(f"KEYCARD_{name.upper()}")
    return server.start_again(**settings).wait()


def algorithm(token: str | None) -> str:
    return str(jwt.get_unverified_header(str(token))["alg"])


def assert_nothing_happened(user: Visitor, *, now: str) -> None:
    """Both tokens of before are good; the next pair is signed in the new way, and can be refreshed."""
    assert user.get(ME).status_code == 200
    assert user.refresh().status_code == 200
    assert algorithm(user.access_token) == algorithm(user.refresh_token) == now
    assert user.get(ME).status_code == 200
    assert user.refresh().status_code == 200
    assert user.login().status_code == 200


def test_a_key_instead_of_a_secret(start: Restart, stores: Stores) -> None:
    """The secret of before must be named as verifying, for it is in no database."""
    secret = secrets.token_urlsafe(48)
    server = start(stores, jwt_algorithm="HS256", jwt_secret=secret).wait()
    user = Visitor(server).join()
    change(server, "jwt_secret", jwt_algorithm="RS256", jwt_verifying_secret=secret)
    assert_nothing_happened(user, now="RS256")


def test_another_secret_one_replica_after_the_other(start: Restart, stores: Stores) -> None:
    """First all learn to verify with the new one, then each begins to sign with it: none refuses what another has signed.

    When the old one is named no more, what it has signed is dead.
    """
    old, new = secrets.token_urlsafe(48), secrets.token_urlsafe(48)
    settings = {"jwt_algorithm": "HS256", "jwt_secret": old, "jwt_verifying_secret": new}
    one, other = start(stores, **settings), start(stores, **settings)
    user, forgotten = Visitor(one.wait()).join(), Visitor(other.wait()).join()
    change(one, jwt_secret=new, jwt_verifying_secret=old)
    assert_nothing_happened(user, now="HS256")
    assert user.at(other).get(ME).status_code == 200
    assert forgotten.at(one).get(ME).status_code == 200
    there = user.at(other)
    assert there.refresh().status_code == 200
    assert there.at(one).get(ME).status_code == 200
    change(one, "jwt_verifying_secret")
    assert user.login().status_code == 200
    assert forgotten.at(one).get(ME).json["type"] == "/problems/invalid-token"
    assert forgotten.at(one).refresh().json["type"] == "/problems/invalid-token"


def test_another_algorithm_one_replica_after_the_other(start: Restart, stores: Stores) -> None:
    """The replica that is still as before finds the key of the other in the database."""
    one, other = start(stores), start(stores)
    user = Visitor(one.wait()).join()
    other.wait()
    change(one, jwt_algorithm="RS256")
    assert_nothing_happened(user, now="RS256")
    # A process asks the database for an unknown key once a second at most.
    eventually(lambda: user.at(other).get(ME).status_code == 200, 5)
    there = user.at(other)
    assert there.refresh().status_code == 200
    assert algorithm(there.access_token) == "EdDSA"
    assert there.at(one).get(ME).status_code == 200


def parameters(stores: Stores) -> dict[str, str]:
    """What each stored hash says about its cost, by username."""
    engine = create_engine(stores.database_url)
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT username, password_hash FROM users")).all()
    engine.dispose()
    return {row.username: re.findall(r"m=\d+,t=\d+,p=\d+", row.password_hash)[0] for row in rows}


def test_another_cost_of_hashes(start: Restart, stores: Stores) -> None:
    """Everybody signs in as before, and their hash is made anew by that; a wrong password changes nothing."""
    server = start(stores, argon2_time_cost=1, argon2_memory_cost=32, argon2_parallelism=1).wait()
    ada, grace = Visitor(server).join(), Visitor(server).join()
    change(server, argon2_time_cost=2, argon2_memory_cost=64, argon2_parallelism=2)
    assert ada.get(ME).status_code == 200
    grace.password += "!"
    assert grace.login().status_code == 401
    assert ada.login().status_code == 200
    found = parameters(stores)
    assert (found[ada.name], found[grace.name]) == ("m=64,t=2,p=2", "m=32,t=1,p=1")
    assert ada.login().status_code == 200
