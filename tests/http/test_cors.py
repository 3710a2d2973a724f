"""Calls from pages of other origins."""

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from tests.actors import Bearer, Hybrid
from tests.http.test_headers import SAMPLE

APP, ADMIN = "https://app.example.com", "http://localhost:5173"
OTHERS = [
    "https://evil.example",
    "https://app.example.com.evil.example",
    "https://evil-app.example.com",
    "https://appXexample.com",
    "http://app.example.com",
    "https://app.example.com:8443",
    "https://sub.app.example.com",
    "null",
    "*",
]


@pytest.fixture(scope="module")
def open_app(new_app) -> Flask:
    return new_app(cors_origins=(APP, ADMIN), max_body_bytes=1024)


def preflight(app: Flask, origin: str, path: str = "/v1/auth/login", method: str = "POST", **headers: str) -> TestResponse:
    asked = {"Origin": origin, "Access-Control-Request-Method": method, **headers}
    return Bearer(app).request("OPTIONS", path, headers=asked)


def cors_headers(answer: TestResponse) -> set[str]:
    return {name for name in answer.headers.keys() if name.lower().startswith("access-control-")}  # noqa: SIM118


def split(value: str) -> set[str]:
    return {part.strip().lower() for part in value.split(",")}


def test_no_origin_is_allowed_by_default(app: Flask) -> None:
    assert cors_headers(Bearer(app).get("/v1/config", headers={"Origin": APP})) == set()
    assert cors_headers(preflight(app, APP)) == set()


@pytest.mark.parametrize("origin", [APP, ADMIN])
def test_a_named_origin_may_call_with_credentials(open_app: Flask, origin: str) -> None:
    answer = Bearer(open_app).get("/v1/config", headers={"Origin": origin})
    assert answer.headers["Access-Control-Allow-Origin"] == origin
    assert answer.headers["Access-Control-Allow-Credentials"] == "true"
    assert "origin" in split(answer.headers["Vary"])


@pytest.mark.parametrize("origin", OTHERS)
def test_no_other_origin_may(open_app: Flask, origin: str) -> None:
    """Neither one that begins or ends alike, nor another scheme or port."""
    assert "Access-Control-Allow-Origin" not in Bearer(open_app).get("/v1/config", headers={"Origin": origin}).headers
    assert "Access-Control-Allow-Origin" not in preflight(open_app, origin).headers


@pytest.fixture(scope="module", params=[(APP,), (APP, ADMIN)], ids=["one", "two"])
def allowing(request: pytest.FixtureRequest, new_app: Callable[..., Flask]) -> Flask:
    return new_app(cors_origins=request.param)


@pytest.mark.parametrize("origin", [None, APP, "https://evil.example"])
@pytest.mark.parametrize(("method", "path"), [*SAMPLE, ("GET", "/.well-known/jwks.json"), ("GET", "/problems")])
def test_a_cache_keeps_the_answers_to_different_origins_apart(
    allowing: Flask, origin: str | None, method: str, path: str
) -> None:
    """Whoever asked first, nobody is handed the answer that was meant for somebody else."""
    answer = Bearer(allowing).request(method, path, headers={"Origin": origin} if origin else {})
    assert split(answer.headers["Vary"]) >= {"origin"}
    assert len(answer.headers.getlist("Vary")) == 1


def test_what_else_an_answer_depends_on_is_still_said(allowing: Flask) -> None:
    assert split(Bearer(allowing).get("/problems").headers["Vary"]) == {"accept", "origin"}


def test_without_origins_nothing_depends_on_them(anybody: Bearer) -> None:
    assert "Vary" not in anybody.get("/v1/config", headers={"Origin": APP}).headers
    assert split(anybody.get("/problems").headers["Vary"]) == {"accept"}


def test_a_preflight_allows_what_our_clients_send(open_app: Flask) -> None:
    asked = "authorization,content-type,x-csrf-token,x-request-id"
    answer = preflight(open_app, APP, "/v1/users/me", "PATCH", **{"Access-Control-Request-Headers": asked})
    assert answer.status_code in {200, 204}
    assert answer.headers["Access-Control-Allow-Origin"] == APP
    assert "PATCH" in answer.headers["Access-Control-Allow-Methods"].split(", ")
    assert set(asked.split(",")) <= split(answer.headers["Access-Control-Allow-Headers"])
    assert int(answer.headers["Access-Control-Max-Age"]) > 0


def test_a_preflight_allows_no_other_header(open_app: Flask) -> None:
    answer = preflight(open_app, APP, **{"Access-Control-Request-Headers": "x-forwarded-for"})
    assert "x-forwarded-for" not in split(answer.headers.get("Access-Control-Allow-Headers", ""))


@pytest.mark.parametrize("path", ["/v1/users/me", "/v1/admin/users", "/v1/auth/refresh"])
def test_a_preflight_needs_no_token(open_app: Flask, path: str) -> None:
    """A browser never sends credentials with it."""
    assert preflight(open_app, APP, path).status_code in {200, 204}


def test_a_script_may_read_the_headers_that_say_something(open_app: Flask) -> None:
    exposed = split(Bearer(open_app).get("/v1/config", headers={"Origin": APP}).headers["Access-Control-Expose-Headers"])
    assert {
        "etag",
        "link",
        "location",
        "ratelimit",
        "ratelimit-policy",
        "retry-after",
        "www-authenticate",
        "x-request-id",
    } <= exposed
    assert "set-cookie" not in exposed


@pytest.mark.parametrize(
    ("method", "path", "kwargs", "status"),
    [
        ("GET", "/v1/users/me", {}, 401),
        ("GET", "/nowhere", {}, 404),
        ("DELETE", "/v1/config", {}, 405),
        ("POST", "/v1/auth/login", {"data": b"{", "content_type": "application/json"}, 400),
        ("POST", "/v1/auth/login", {"data": b"x" * 2048, "content_type": "application/json"}, 413),
        ("POST", "/v1/auth/login", {"data": b"x", "content_type": "text/plain"}, 415),
        ("POST", "/v1/auth/login", {"json": {}}, 422),
    ],
)
def test_a_problem_can_be_read_too(open_app: Flask, method: str, path: str, kwargs: dict[str, Any], status: int) -> None:
    """Without these headers a script sees a network error and no reason."""
    answer = Bearer(open_app).request(method, path, headers={"Origin": APP}, **kwargs)
    assert answer.status_code == status
    assert answer.mimetype == "application/problem+json"
    assert answer.headers["Access-Control-Allow-Origin"] == APP
    assert answer.headers["Access-Control-Allow-Credentials"] == "true"


def test_too_many_requests_can_be_read_too(new_app) -> None:
    app = new_app(cors_origins=(APP,), ratelimit_enabled=True, ratelimit_general="1/minute")
    caller = Bearer(app)
    caller.client.environ_base["REMOTE_ADDR"] = "2001:db8::c0:25"
    answers = [caller.get("/v1/config", headers={"Origin": APP}) for _ in range(2)]
    assert answers[1].status_code == 429
    assert answers[1].headers["Access-Control-Allow-Origin"] == APP


def test_a_single_page_app_signs_in_from_its_origin(open_app: Flask) -> None:
    page = Hybrid(open_app)
    page.client.environ_base["HTTP_ORIGIN"] = APP
    page.join()
    for answer in (page.get("/v1/users/me"), page.refresh(), page.logout()):
        assert answer.status_code in {200, 204}
        assert answer.headers["Access-Control-Allow-Origin"] == APP
