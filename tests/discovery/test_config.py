"""What a client can learn of this deployment before it signs in."""

import re

import pytest
from flask import Flask

from api import __version__
from tests.actors import Bearer


def config(app: Flask) -> dict:
    answer = Bearer(app).get("/v1/config")
    assert answer.status_code == 200
    return answer.json


def test_everything_a_sign_in_page_needs_is_there(app: Flask) -> None:
    found = config(app)
    assert (found["version"], found["environment"]) == (__version__, "development")
    assert found["deliveries"] == ["body", "hybrid", "cookie"]
    assert found["token_lifetimes"] == {
        "access_token": 900,
        "refresh_token": 604_800,
        "session": 2_592_000,
        "refresh_grace": 10,
        "fresh": 600,
    }
    assert found["cookies"] == {
        "access": "keycard_access",
        "refresh": "keycard_refresh",
        "csrf": "keycard_csrf",
        "csrf_header": "X-CSRF-TOKEN",
    }


def test_the_lifetimes_are_those_of_the_tokens(new_app) -> None:
    lifetimes = {
        "access_token_lifetime": 60,
        "refresh_token_lifetime": 600,
        "session_lifetime": 6000,
        "refresh_grace": 3,
        "fresh_lifetime": 30,
    }
    app = new_app(**lifetimes)
    shown = config(app)["token_lifetimes"]
    assert shown == {"access_token": 60, "refresh_token": 600, "session": 6000, "refresh_grace": 3, "fresh": 30}
    pair = Bearer(app).join().login().json
    assert (pair["expires_in"], pair["refresh_expires_in"]) == (shown["access_token"], shown["refresh_token"])


@pytest.mark.parametrize("preset", ["classic", "nist"])
def test_the_password_policy_shown_is_the_one_enforced(new_app, preset: str) -> None:
    """A page that checks with these numbers and this pattern refuses what we refuse."""
    app = new_app(password_policy=preset)
    policy = config(app)["password_policy"]
    assert policy["name"] == preset
    longest = ("9 Zebras paint lamps by a river. " * 4)[: policy["max_length"]]
    tried = {longest: 201, longest + "a": 422, longest[: policy["min_length"]]: 201, longest[: policy["min_length"] - 1]: 422}
    tried["zebra-lamp-river-9"] = tried["Zebra-lamp-river-bed"] = 201 if preset == "nist" else 422
    for password, status in tried.items():
        person = Bearer(app)
        person.password = password
        assert person.register().status_code == status, password
        fits = policy["min_length"] <= len(password) <= policy["max_length"] and re.search(policy["pattern"], password)
        assert bool(fits) is (status == 201), password


@pytest.mark.parametrize("preset", ["classic", "nist"])
def test_the_policy_in_words_names_its_numbers(new_app, preset: str) -> None:
    policy = config(new_app(password_policy=preset))["password_policy"]
    assert f"{policy['min_length']} to {policy['max_length']} characters" in policy["description"]


def test_no_secret_is_shown(new_app) -> None:
    """Neither the signing secret nor where the data is."""
    secret = "k3J9-vQ2m_Zx8Lw5Tn1Rb6Yc4Hd7Gf0Ps"
    app = new_app(jwt_algorithm="HS256", jwt_secret=secret)
    settings = app.config["SETTINGS"]
    text = Bearer(app).get("/v1/config").text
    for hidden in (secret, settings.database_url, settings.redis_url, settings.instance_path):
        assert hidden is None or hidden not in text


def test_the_configuration_is_not_kept_by_anybody(app: Flask) -> None:
    assert Bearer(app).get("/v1/config").headers["Cache-Control"] == "no-store"


def test_the_configuration_takes_no_changes(admin: Bearer) -> None:
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        answer = admin.signed_in(method, "/v1/config")
        assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD, OPTIONS")
