"""With HS256 there is no key to rotate: the command says so, and breaks nothing."""

import secrets
from collections.abc import Callable

import pytest
from flask import Flask
from sqlalchemy import func, select

from api import keys
from api.audit import AuditEvent
from api.database import fetch_one
from api.keys.cli import keys_cli
from tests.actors import Bearer
from tests.conftest import Stores

ME, JWKS = "/v1/users/me", "/.well-known/jwks.json"


@pytest.fixture(scope="module")
def stores(new_stores: Callable[[], Stores]) -> Stores:
    return new_stores()


@pytest.fixture(scope="module")
def shared_secret(new_app: Callable[..., Flask], stores: Stores) -> Flask:
    return new_app(stores=stores, jwt_algorithm="HS256", jwt_secret=secrets.token_urlsafe(48))


def rows(app: Flask) -> tuple[int, int]:
    """How many keys there are, and how many rotations were logged."""
    with app.app_context():
        rotated = select(func.count()).select_from(AuditEvent).where(AuditEvent.type == "key_rotated")
        (events,) = fetch_one(rotated) or (0,)
        return len(keys.list_keys()), int(events)


@pytest.mark.parametrize("words", [["rotate"], ["rotate", "--compromised"]], ids=" ".join)
def test_the_command_refuses_and_every_token_goes_on(shared_secret: Flask, words: list[str]) -> None:
    """A key in the table would be published, and stop every token that the secret has signed."""
    user = Bearer(shared_secret).join()
    ended = shared_secret.test_cli_runner().invoke(keys_cli, words)
    assert ended.exit_code == 1
    assert "KEYCARD_JWT_SECRET" in ended.output
    assert "Traceback" not in ended.output
    assert rows(shared_secret) == (0, 0)
    assert user.get(ME).status_code == 200
    assert user.refresh().status_code == 200
    newcomer = Bearer(shared_secret).join()
    assert newcomer.get(ME).status_code == 200
    published = newcomer.request("GET", JWKS)
    assert (published.status_code, published.json) == (200, {"keys": []})


def test_the_same_database_rotates_with_another_algorithm(
    new_app: Callable[..., Flask], stores: Stores, shared_secret: Flask
) -> None:
    """Only the setting decides; what HS256 refuses, EdDSA does."""
    app = new_app(stores=stores)
    before, logged = rows(app)
    assert app.test_cli_runner().invoke(keys_cli, ["rotate"]).exit_code == 0
    assert rows(app) == (before + 1, logged + 1)
    assert len(Bearer(app).request("GET", JWKS).json["keys"]) == before + 1


def test_keys_of_another_algorithm_do_not_stop_hs256(new_app: Callable[..., Flask], stores: Stores, shared_secret: Flask) -> None:
    """Which were made before the algorithm was changed."""
    new_app(stores=stores)
    user = Bearer(shared_secret).join()
    with shared_secret.app_context():
        keys.keyring().forget()
    assert user.get(ME).status_code == 200
    assert user.refresh().status_code == 200
