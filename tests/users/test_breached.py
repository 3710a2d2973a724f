"""Passwords that have leaked are refused when a range API is configured, and nobody learns them by that."""

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.actors import Bearer

LEAKED, PADDED = "Leaked-Horse-7", "Padded-Horse-7"


def sha1(password: str) -> str:
    return hashlib.sha1(password.encode()).hexdigest().upper()  # noqa: S324


class RangeApi(BaseHTTPRequestHandler):
    """Answers like the range API; keeps what it was asked."""

    asked: list[str]
    answer = f"{'0' * 35}:3\r\n{sha1(LEAKED)[5:]}:12\r\n{sha1(PADDED)[5:]}:0\r\n".encode()
    status = 200
    location = ""

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_response(self.status)
        if self.location:
            self.send_header("Location", self.location)
        self.end_headers()
        self.wfile.write(self.answer)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def service() -> Iterator[tuple[str, type[RangeApi]]]:
    handler = type("Handler", (RangeApi,), {"asked": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/range/", handler
        server.shutdown()
        thread.join()


def test_a_leaked_password_is_refused_everywhere(new_app, service) -> None:
    url, handler = service
    app = new_app(breached_passwords_url=url)
    person = Bearer(app)
    person.password = LEAKED
    answer = person.register()
    assert (answer.status_code, answer.json["type"]) == (409, "/problems/password-refused")
    assert answer.json["errors"] == [{"pointer": "/password", "detail": "This password is known from a data breach."}]
    other = Bearer(app).join()
    change = {"current_password": other.password, "new_password": LEAKED}
    assert other.put("/v1/users/me/password", json=change).status_code == 409
    assert {f"/range/{sha1(LEAKED)[:5]}"} <= set(handler.asked)
    assert {len(path) for path in handler.asked} == {len("/range/") + 5}, "more than five digits were told"


@pytest.mark.parametrize("password", ["Unknown-Horse-7", PADDED])
def test_what_has_not_leaked_is_accepted(new_app, service, password: str) -> None:
    person = Bearer(new_app(breached_passwords_url=service[0]))
    person.password = password
    assert person.register().status_code == 201


@pytest.mark.parametrize("broken", [{"status": 503}, {"answer": b"\xff\xfe"}, {"answer": b"not a list"}])
def test_a_service_that_is_broken_refuses_nobody(new_app, service, broken: dict[str, object]) -> None:
    url, handler = service
    for name, value in broken.items():
        setattr(handler, name, value)
    person = Bearer(new_app(breached_passwords_url=url))
    person.password = LEAKED
    assert person.register().status_code == 201


def test_a_service_that_is_away_refuses_nobody_and_is_logged(new_app, caplog) -> None:
    assert Bearer(new_app(breached_passwords_url="http://127.0.0.1:1/range/")).register().status_code == 201
    assert "breached passwords cannot be asked for" in caplog.text


def test_no_redirect_is_followed(new_app, service) -> None:
    """The password is accepted, as whenever the service cannot be asked; the address that it names is asked nothing."""
    url, handler = service
    handler.status, handler.location = 302, "/elsewhere"
    person = Bearer(new_app(breached_passwords_url=url))
    person.password = LEAKED
    assert person.register().status_code == 201
    assert handler.asked == [f"/range/{sha1(LEAKED)[:5]}"]


def test_nobody_is_asked_unless_configured(new_app, service) -> None:
    assert Bearer(new_app()).register().status_code == 201
    assert service[1].asked == []
