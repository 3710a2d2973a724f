"""The rival that is written here does all that its recipe promises: beating one that does less would prove nothing."""

from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from .baselines import tutorial
from .servers import forged
from .targets import CHEAP, PASSWORD, TUTORIAL, TUTORIAL_ROTATING

ADA = {"username": "ada", "password": PASSWORD}


@pytest.fixture
def app(tmp_path: Path, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Flask:
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/tutorial.sqlite3")
    monkeypatch.setenv("REDIS_URL", redis_url)
    monkeypatch.setenv("ARGON2", CHEAP)
    return tutorial.create_app()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    client = app.test_client()
    assert client.post("/register", json=ADA).status_code == 201
    return client


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def sign_in(client: FlaskClient) -> dict[str, str]:
    answer = client.post("/login", json=ADA)
    assert answer.status_code == 200
    return dict(answer.json or {})


def test_the_tutorial_loads_the_person_and_refuses_a_revoked_token(client: FlaskClient) -> None:
    """It asks its database and its blocklist at each request, which is what get_me and logout are compared by."""
    access = bearer(sign_in(client)["access_token"])
    assert client.get("/me", headers=access).json == {"id": 1, "username": "ada"}
    assert client.delete("/logout", headers=access).status_code == 200
    assert client.get("/me", headers=access).status_code == 401


def test_the_tutorial_refuses_a_forged_token_with_the_status_that_is_counted(client: FlaskClient) -> None:
    """A run of bad tokens is worthless where another status is expected than the one that comes."""
    access = sign_in(client)["access_token"]
    assert len(forged(access)) == len(access)
    assert client.get("/me", headers=bearer(forged(access))).status_code == TUTORIAL.requests["bad_token"].status


def test_the_tutorial_checks_the_password(client: FlaskClient) -> None:
    """Its hash is computed, and decides."""
    assert client.post("/login", json={**ADA, "password": "another"}).status_code == 401


def test_refreshing_leaves_or_spends_the_refresh_token_as_each_variant_says(client: FlaskClient) -> None:
    """The plain recipe takes its refresh token again, the rotating one blocks it and answers another."""
    plain, rotating = TUTORIAL.requests["refresh"].path, TUTORIAL_ROTATING.requests["refresh"].path
    refresh = bearer(sign_in(client)["refresh_token"])
    assert [client.post(plain, headers=refresh).status_code for _ in range(2)] == [200, 200]
    exchanged = client.post(rotating, headers=refresh)
    assert client.post(rotating, headers=refresh).status_code == 401
    assert client.post(rotating, headers=bearer((exchanged.json or {})["refresh_token"])).status_code == 200
