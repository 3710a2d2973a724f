"""Rotating the signing keys from the command line while servers run: nobody restarts anything."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import pytest

from tests.conftest import Stores
from tests.processes.servers import Server, Visitor, eventually, keycard

# A running process reads the keys again after ten seconds; the rest is for a busy machine.
RELOAD = 20.0


@pytest.fixture(scope="module")
def stores(new_stores: Callable[[], Stores]) -> Stores:
    return new_stores()


@pytest.fixture(scope="module")
def server(stores: Stores, start: Callable[..., Server]) -> Server:
    return start(stores).wait()


def kid(token: str) -> str:
    return str(jwt.get_unverified_header(token)["kid"])


def published(server: Server) -> list[str]:
    return [key["kid"] for key in server.client.get("/.well-known/jwks.json").json()["keys"]]


def verify(server: Server, token: str) -> dict[str, Any]:
    """What another service does: it knows the address of the key set, the issuer and the audience, and no secret."""
    keys = jwt.PyJWKSet.from_dict(server.client.get("/.well-known/jwks.json").json())
    issuer = server.client.get("/.well-known/oauth-authorization-server").json()["issuer"]
    key = keys[kid(token)]
    return jwt.decode(token, key, algorithms=[key.algorithm_name], audience=issuer, issuer=issuer)


def look_again(server: Server) -> None:
    """Show the server a token whose key it does not know, so that it reads the keys again, at most once a second."""
    unknown = jwt.encode({}, "x" * 32, algorithm="HS256", headers={"kid": "unknown"})
    answer = server.client.get("/v1/users/me", headers={"Authorization": f"Bearer {unknown}"})
    assert answer.json()["type"] == "/problems/invalid-token"


def test_a_rotation_is_picked_up_without_a_restart(server: Server) -> None:
    """The new key is published before it signs; tokens of before keep working, for us and for others."""
    user = Visitor(server).join()
    (old,) = published(server)
    new = keycard(server.environment, "keys", "rotate").split()[0]
    assert user.get("/v1/users/me").status_code == 200
    eventually(lambda: new in published(server), RELOAD)
    assert published(server) == [new, old]
    assert user.get("/v1/users/me").status_code == 200
    assert verify(server, user.access_token)["sid"] == user.get("/v1/auth/session").json["session"]["id"]
    assert user.refresh().status_code == 200
    assert kid(user.access_token) == old


def test_a_compromised_rotation_kills_every_token_of_before(server: Server) -> None:
    """For us and for others, as soon as a process has read its keys again; then people sign in anew."""
    user = Visitor(server).join()
    new = keycard(server.environment, "keys", "rotate", "--compromised").split()[0]
    eventually(lambda: look_again(server) or user.get("/v1/users/me").status_code == 401, RELOAD)
    assert user.get("/v1/users/me").json["type"] == "/problems/invalid-token"
    assert user.refresh().json["type"] == "/problems/invalid-token"
    assert published(server) == [new]
    with pytest.raises(KeyError):
        verify(server, user.access_token)
    assert user.login().status_code == 200
    assert kid(user.access_token) == new
    assert verify(server, user.access_token)["type"] == "access"


def test_only_its_owner_can_read_the_database_with_the_keys(server: Server, stores: Stores) -> None:
    """The write-ahead log holds the same secrets as the file."""
    if stores.name != "sqlite":
        pytest.skip("PostgreSQL guards its own files")
    Visitor(server).join()
    file = Path(stores.database_url.removeprefix("sqlite:///"))
    found = {each.name: each.stat().st_mode & 0o777 for each in file.parent.glob(f"{file.name}*")}
    assert set(found) == {file.name, f"{file.name}-wal", f"{file.name}-shm"}
    assert set(found.values()) == {0o600}
