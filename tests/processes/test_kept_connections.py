"""Requests of every kind, one after the other on connections that stay open: what one of them leaves unread breaks no other one.

A proxy gives the next request on a kept connection to somebody else, who would be answered 502.
"""

import contextlib
import itertools
import shutil
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any

import pytest

from tests.conftest import IN_CI, Stores
from tests.processes.proxy import NGINX, Proxy, make_certificates
from tests.processes.servers import Server, Visitor, free_port, simultaneously

CONNECTIONS = 16
REQUESTS = 10_000
ME, LOGIN, REGISTER = "/v1/users/me", "/v1/auth/login", "/v1/auth/register"
JSON, TEXT = {"Content-Type": "application/json"}, {"Content-Type": "text/plain"}
LIMITS = {"ratelimit_register": "1/hour", "ratelimit_login_account": "100000/minute"}
SMALL, LARGE = b'{"display_name": "Ada"}', b"x" * 200_000


@dataclass(frozen=True)
class Call:
    """A request, and how it may be answered. chunked: sent without its length (RFC 9112, section 7.1)."""

    method: str
    path: str
    answers: set[int]
    body: bytes | None = None
    headers: dict[str, str] = field(default_factory=lambda: JSON)
    chunked: bool = False
    signed_in: bool = False


CALLS = [
    Call("GET", ME, {200}, signed_in=True),
    Call("PATCH", ME, {200}, SMALL, signed_in=True),
    Call("PATCH", ME, {200}, SMALL, signed_in=True, chunked=True),
    Call("DELETE", f"{ME}/sessions", {204}, signed_in=True),
    Call("GET", "/v1/config", {200}, SMALL),
    Call("HEAD", "/v1/config", {200}),
    Call("OPTIONS", ME, {200}, SMALL),
    Call("POST", LOGIN, {400}, b"{"),
    Call("PATCH", ME, {401}, SMALL),
    Call("PATCH", ME, {401}, SMALL, chunked=True),
    Call("PATCH", ME, {401}, LARGE),
    Call("POST", "/v1/admin/users", {403}, SMALL, signed_in=True),
    Call("POST", "/nowhere", {404}, SMALL),
    Call("POST", "/nowhere", {404}, LARGE, chunked=True),
    Call("PUT", "/v1/config", {405}, SMALL),
    Call("POST", LOGIN, {413}, LARGE),
    Call("POST", LOGIN, {413}, LARGE, chunked=True),
    Call("POST", LOGIN, {415}, SMALL, TEXT),
    Call("POST", LOGIN, {422}, SMALL),
    Call("POST", REGISTER, {422, 429}, SMALL),
]


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory, start: Callable[..., Server]) -> list[Server]:
    """Two, because nginx passes requests on to two."""
    stores = Stores("sqlite", f"sqlite:///{tmp_path_factory.mktemp('kept')}/keycard.sqlite3", None)
    first = start(stores, trusted_hops=1, **LIMITS).wait()
    return [first, start(stores, trusted_hops=1, **LIMITS).wait()]


@pytest.fixture(scope="module")
def proxy(servers: list[Server], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    if not shutil.which(NGINX):
        (pytest.fail if IN_CI else pytest.skip)(f"there is no {NGINX} (Debian: nginx-light)")
    folder = tmp_path_factory.mktemp("proxy")
    folder.parent.chmod(0o755)
    made = Proxy(folder, free_port(), make_certificates(tmp_path_factory.mktemp("certificates")))
    made.start(*servers)
    yield made
    made.stop()


def fault_of(connection: HTTPConnection, call: Call, token: str) -> str:
    """Make a call; return what is wrong with the answer, or nothing."""
    headers = call.headers | ({"Authorization": f"Bearer {token}"} if call.signed_in else {})
    body: Any = call.body
    if call.chunked:
        headers |= {"Transfer-Encoding": "chunked"}
        body = iter([body[:10], body[10:]])
    try:
        connection.request(call.method, call.path, body, headers, encode_chunked=call.chunked)
        answer = connection.getresponse()
        answer.read()
    except (OSError, HTTPException) as error:
        connection.close()
        return type(error).__name__
    if answer.will_close:
        return "Connection: close"
    return "" if answer.status in call.answers else str(answer.status)


def use(connection: HTTPConnection, calls: list[Call], token: str) -> Counter[str]:
    """Make the calls one after the other, and count what is wrong."""
    found = [(call, fault_of(connection, call, token)) for call in calls]
    connection.close()
    return Counter(f"{call.method} {call.path} {min(call.answers)}: {fault}" for call, fault in found if fault)


def broken_of(connect: Callable[[], HTTPConnection], token: str) -> Counter[str]:
    """Every connection makes the calls in an order of its own."""
    each = REQUESTS // CONNECTIONS
    orders = [list(itertools.islice(itertools.cycle(CALLS[at:] + CALLS[:at]), each)) for at in range(CONNECTIONS)]
    found = simultaneously(*[lambda order=order: use(connect(), order, token) for order in orders])
    return sum(found, Counter())


def test_no_request_on_a_kept_connection_is_broken(servers: list[Server]) -> None:
    ada = Visitor(servers[0]).join()
    assert broken_of(lambda: HTTPConnection("127.0.0.1", servers[0].port, timeout=30), ada.access_token) == Counter()


def test_nor_behind_a_proxy_that_keeps_its_own(servers: list[Server], proxy: Proxy) -> None:
    ada = Visitor(servers[1]).join()
    connect = lambda: HTTPSConnection("127.0.0.1", proxy.port, context=proxy.trust, timeout=30)  # noqa: E731
    assert broken_of(connect, ada.access_token) == Counter()


@pytest.fixture
def wire(servers: list[Server]) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", servers[0].port), timeout=10) as connection:
        yield connection


def head(call: Call, *more: str) -> bytes:
    """The beginning of a request, up to its body."""
    lines = [f"{call.method} {call.path} HTTP/1.1", "Host: localhost", "Content-Type: application/json", *more, "", ""]
    return "\r\n".join(lines).encode()


def last_answer(wire: socket.socket) -> tuple[int, str | None]:
    """The answer after which the server closes the connection, and what it says of that."""
    answer = HTTPResponse(wire)
    answer.begin()
    answer.read()
    with contextlib.suppress(ConnectionResetError):  # the rest was still under way
        assert wire.recv(1) == b"", "still open"
    return answer.status, answer.headers["Connection"]


@pytest.mark.parametrize("call", [each for each in CALLS if each.answers & {401, 404, 413}])
@pytest.mark.parametrize("length", ["Content-Length: 4000000", "Transfer-Encoding: chunked"])
def test_the_end_of_a_connection_is_announced(wire: socket.socket, call: Call, length: str) -> None:
    """After a large rest, which is not read to its end. Not every try would see it missing."""
    wire.sendall(head(call, length))
    with contextlib.suppress(OSError):  # the answer may come before all of this is sent
        for _ in range(40):
            wire.sendall(b"186a0\r\n" * ("chunked" in length) + b"x" * 100_000 + b"\r\n" * ("chunked" in length))
    assert last_answer(wire) == (min(call.answers), "close")


def test_a_body_that_waits_for_a_word_is_not_asked_for(wire: socket.socket) -> None:
    """`Expect: 100-continue` asks before it sends: what is refused anyway need not be sent (RFC 9110, section 10.1.1)."""
    wire.sendall(head(Call("PATCH", ME, {401}), "Content-Length: 20", "Expect: 100-continue"))
    assert last_answer(wire) == (401, "close")
