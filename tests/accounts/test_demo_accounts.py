"""Demo accounts: shown to, and usable by, somebody at this machine alone, whichever server runs."""

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from flask import Flask
from werkzeug.test import TestResponse

from api import create_app
from api.accounts.demo import create_demo_accounts
from api.database import close_connections
from api.docs import demo
from tests.actors import Bearer, Browser
from tests.conftest import Stores
from tests.mailbox import VERIFY, Mailbox, new_address
from tests.processes.servers import KEYCARD, free_port, keycard
from tests.test_readme import serving

HERE: dict[str, Any] = {}
THERE = {"environ_overrides": {"REMOTE_ADDR": "192.0.2.7"}}
# Somebody to whom nothing of a demo account may be given.
STRANGERS: dict[str, dict[str, Any]] = {
    "another machine": THERE,
    "another machine, IPv6": {"environ_overrides": {"REMOTE_ADDR": "2001:db8::7"}},
    "another machine in IPv6's words": {"environ_overrides": {"REMOTE_ADDR": "::ffff:192.0.2.7"}},
    "a socket without an address": {"environ_overrides": {"REMOTE_ADDR": ""}},
    "no address that one can read": {"environ_overrides": {"REMOTE_ADDR": "unix:"}},
    "another site's name": {"headers": {"Host": "rebind.example"}},
    "a name that cannot be read": {"headers": {"Host": "[::1"}},
    **{
        name: {"headers": {name: value}}
        for name, value in {
            "Forwarded": "for=127.0.0.1",
            "X-Forwarded-For": "127.0.0.1",
            "X-Forwarded-Proto": "https",
            "X-Forwarded-Host": "localhost",
            "X-Forwarded-Anything": "",
            "X-Real-IP": "127.0.0.1",
            "Via": "1.1 localhost",
        }.items()
    },
}
NEIGHBOURS: dict[str, dict[str, Any]] = {
    "this machine": HERE,
    "this machine, IPv6": {"environ_overrides": {"REMOTE_ADDR": "::1"}},
    "this machine in IPv6's words": {"environ_overrides": {"REMOTE_ADDR": "::ffff:127.0.0.1"}},
    "another loopback address": {"environ_overrides": {"REMOTE_ADDR": "127.0.0.53"}},
    "by number": {"headers": {"Host": "127.0.0.1:8000"}},
    "by number, IPv6": {"headers": {"Host": "[::1]:8000"}},
}


def offering(app: Flask) -> Flask:
    """The app with its demo accounts, as `keycard serve` makes them."""
    with app.app_context():
        create_demo_accounts()
    return app


@pytest.fixture(scope="module")
def offered(new_app: Callable[..., Flask]) -> Flask:
    return offering(new_app(refresh_grace=0))


def secret_of(app: Flask) -> str:
    found = demo.password(app.config["SETTINGS"])
    assert found
    return found


class Demo(Bearer):
    """The demo administrator, calling from somewhere. `at` says where."""

    at: dict[str, Any] = HERE

    def __init__(self, app: Flask, name: str = "demo-admin") -> None:
        super().__init__(app, name)
        self.password = secret_of(app)

    def request(self, method: str, path: str, **kwargs: Any) -> TestResponse:
        headers = {**kwargs.pop("headers", {}), **self.at.get("headers", {})}
        return super().request(method, path, headers=headers, **kwargs, **{k: v for k, v in self.at.items() if k != "headers"})


@pytest.fixture
def admin_here(offered: Flask) -> Demo:
    person = Demo(offered)
    assert person.login().status_code == 200
    return person


@pytest.fixture(params=STRANGERS)
def stranger(request: pytest.FixtureRequest) -> dict[str, Any]:
    return STRANGERS[request.param]


@pytest.mark.parametrize("where", NEIGHBOURS)
def test_at_this_machine_the_password_is_shown_and_works(offered: Flask, where: str) -> None:
    person = Demo(offered)
    person.at = NEIGHBOURS[where]
    page = person.request("GET", "/docs")
    assert (page.status_code, person.password in page.text) == (200, True)
    assert person.login().status_code == 200
    assert person.get("/v1/admin/users").status_code == 200
    assert person.refresh().status_code == 200
    assert person.logout().status_code == 204


def test_from_elsewhere_the_password_is_not_shown(offered: Flask, stranger: dict[str, Any]) -> None:
    person = Demo(offered)
    person.at = stranger
    page = person.request("GET", "/docs")
    assert person.password not in page.text
    assert "data-demo" not in page.text


@pytest.mark.parametrize("name", ["demo", "demo-admin"])
def test_from_elsewhere_a_demo_account_is_nobody(offered: Flask, stranger: dict[str, Any], name: str) -> None:
    """The right password is answered as a name is that nobody has."""
    person = Demo(offered, name)
    person.at = stranger
    nobody = Demo(offered, "nobody-has-this-name")
    nobody.at = stranger
    refused, unknown = person.login(), nobody.login()
    assert refused.status_code in {400, 401}
    assert {**refused.json, "request_id": ""} == {**unknown.json, "request_id": ""}
    assert {**refused.headers, "X-Request-ID": ""} == {**unknown.headers, "X-Request-ID": ""}


def test_from_elsewhere_a_hash_is_checked_as_for_anybody(offered: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that time tells nothing: the hash of nobody, which costs what any other costs."""
    person = Demo(offered)
    person.at = THERE
    with offered.app_context():
        hasher = offered.extensions["keycard.hasher"]
    checked: list[str | None] = []
    verify = hasher.verify
    monkeypatch.setattr(hasher, "verify", lambda password, known: (checked.append(known), verify(password, known))[1])
    assert person.login().status_code == 401
    assert checked == [None]


def test_from_elsewhere_its_access_token_is_dead(admin_here: Demo, stranger: dict[str, Any]) -> None:
    admin_here.at = stranger
    for path in ("/v1/admin/users", "/v1/users/me", "/v1/auth/session"):
        assert admin_here.get(path).status_code in {400, 401}
    assert admin_here.reauthenticate().status_code in {400, 401}
    admin_here.at = HERE
    assert admin_here.get("/v1/admin/users").status_code == 200


def test_from_elsewhere_its_refresh_token_is_dead(admin_here: Demo) -> None:
    """As one of a session that has ended; and it is not spent."""
    admin_here.at = THERE
    assert admin_here.refresh().json["type"] == "/problems/session-ended"
    admin_here.at = HERE
    assert admin_here.refresh().status_code == 200


def test_from_elsewhere_it_cannot_be_signed_out(admin_here: Demo) -> None:
    """Answered as for a session that has ended already."""
    admin_here.at = THERE
    assert admin_here.logout().status_code == 204
    admin_here.at = HERE
    assert admin_here.get("/v1/users/me").status_code == 200


def test_its_cookies_are_dead_elsewhere(offered: Flask) -> None:
    class Cookies(Demo, Browser):
        delivery = "cookie"

    person = Cookies(offered, "demo")
    assert person.login().status_code == 200
    assert person.get("/v1/users/me").status_code == 200
    person.at = THERE
    assert person.get("/v1/users/me").json["type"] == "/problems/token-revoked"


def test_what_was_mailed_to_it_is_dead_elsewhere(offered: Flask) -> None:
    """And is not spent by trying."""
    person, mailbox, address = Demo(offered, "demo"), Mailbox(offered), new_address()
    assert person.login().status_code == 200
    assert person.put("/v1/users/me/email", json={"email": address}).status_code == 202
    token = {"token": mailbox.token(address)}
    person.at = THERE
    for path in (VERIFY, "/v1/auth/mailed-token"):
        assert person.request("POST", path, json=token).json["type"] == "/problems/one-time-token-refused"
    person.at = HERE
    assert person.post(VERIFY, json=token).status_code == 204


def test_a_person_of_ones_own_may_come_from_anywhere(offered: Flask, stranger: dict[str, Any]) -> None:
    person = Demo(offered, Bearer(offered).join().name)
    person.password = Bearer(offered).password
    person.at = {**stranger, "headers": {k: v for k, v in stranger.get("headers", {}).items() if k != "Host"}}
    assert person.login().status_code == 200
    assert person.get("/v1/users/me").status_code == 200


@pytest.mark.parametrize(
    "settings",
    [{"trusted_hops": 1}, {"public_url": "https://auth.example.com"}],
    ids=lambda each: next(iter(each)),
)
def test_where_others_are_meant_to_call_there_is_none(offered: Flask, new_app: Callable[..., Flask], settings: Any) -> None:
    """Whichever server runs, on the database that `keycard serve` has left: a proxy here may say nothing."""
    known: Any = offered.config["SETTINGS"]
    app = new_app(stores=Stores("", known.database_url, known.redis_url), **settings)
    person = Demo(offered)
    person.app, person.client = app, app.test_client()
    assert person.login().status_code == 401


# Other servers than `keycard serve`, which listen to the whole network


def own_address() -> str:
    """This machine, as others reach it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("198.51.100.1", 9))  # sends nothing
        except OSError:
            pytest.skip("this machine has no address but loopback")
        return str(probe.getsockname()[0])


SERVERS = {
    "granian": ["granian", "--interface", "wsgi", "--factory", "--host", "0.0.0.0", "--port", "{port}", "api:create_app"],  # noqa: S104
    "run": ["keycard", "run", "--host", "0.0.0.0", "--port", "{port}"],  # noqa: S104
}


@pytest.fixture(params=SERVERS)
def open_to_all(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """A server that others can reach, and the password of its demo accounts."""
    environment = Stores("sqlite", f"sqlite:///{tmp_path}/keycard.sqlite3", None).environment(tmp_path)
    keycard(environment, "db", "upgrade")
    settings = Stores("sqlite", f"sqlite:///{tmp_path}/keycard.sqlite3", None).settings(tmp_path)
    app = offering(create_app(settings))
    close_connections(app)
    port = free_port()
    name, *arguments = SERVERS[request.param]
    command = [str(KEYCARD.parent / name), *(each.format(port=port) for each in arguments)]
    with serving(command, port, tmp_path, **environment) as url:
        yield url, secret_of(app)


def test_a_server_that_others_can_reach_gives_them_nothing(open_to_all: tuple[str, str]) -> None:
    """`Host: localhost` is what anybody can say."""
    url, secret = open_to_all
    outside = url.replace("127.0.0.1", own_address())
    body = {"username": "demo-admin", "password": secret}
    forwarded = {"X-Forwarded-For": "127.0.0.1"}
    with httpx.Client(trust_env=False, headers={"Host": "localhost"}) as client:
        assert secret in client.get(f"{url}/docs").text
        pair = client.post(f"{url}/v1/auth/login", json=body).json()
        bearer = {"Authorization": f"Bearer {pair['access_token']}"}
        assert client.get(f"{url}/v1/admin/users", headers=bearer).status_code == 200
        for base, headers in ((outside, {}), (url, forwarded)):
            assert secret not in client.get(f"{base}/docs", headers=headers).text
            assert client.post(f"{base}/v1/auth/login", json=body, headers=headers).status_code == 401
            assert client.get(f"{base}/v1/admin/users", headers=headers | bearer).status_code == 401
            again = {"Authorization": f"Bearer {pair['refresh_token']}"}
            assert client.post(f"{base}/v1/auth/refresh", headers=headers | again).status_code == 401
