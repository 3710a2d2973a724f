"""`keycard serve`: several workers, and the end of a process."""

import json
import os
import select
import signal
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from tests.actors import PASSWORD
from tests.conftest import Stores
from tests.processes.servers import START_SECONDS, STOP_SECONDS, TLS, Server, Visitor, eventually, keycard

TRIES = 24


@pytest.fixture(scope="module")
def stores(new_stores: Callable[[], Stores]) -> Stores:
    """Without Redis each worker counts its limits alone, which shows who answered."""
    return replace(new_stores(), redis_url=None)


@pytest.fixture(scope="module")
def server(stores: Stores, start: Callable[..., Server]) -> Server:
    found = start(stores, "--workers", "2").wait()
    eventually(lambda: found.log.count("Started worker-") == 2, START_SECONDS)  # ready is who was first
    return found


def anew(server: Server, path: str, token: str | None = None) -> httpx.Response:
    """GET on a connection of its own, so that any worker may answer."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return httpx.get(server.base_url + path, headers=headers, timeout=10, trust_env=False, verify=TLS)


def test_two_workers_answer(server: Server) -> None:
    """The ground on which the next test stands: requests on new connections reach both."""
    left = [anew(server, "/v1/config").headers["RateLimit"] for _ in range(TRIES)]
    rooms = [header.split(";")[1] for header in left]
    assert len(set(rooms)) < len(rooms)


def test_a_revocation_is_seen_by_every_worker(server: Server) -> None:
    for _ in range(5):
        user = Visitor(server).join()
        assert {anew(server, "/v1/users/me", user.access_token).status_code for _ in range(TRIES)} == {200}
        assert user.logout().status_code == 204
        assert {anew(server, "/v1/users/me", user.access_token).status_code for _ in range(TRIES)} == {401}


def test_a_revocation_on_the_command_line_is_seen_by_every_worker(server: Server) -> None:
    user, bystander = Visitor(server).join(), Visitor(server).join()
    assert "all sessions ended" in keycard(server.environment, "users", "revoke", user.name)
    assert {anew(server, "/v1/users/me", user.access_token).status_code for _ in range(TRIES)} == {401}
    assert {anew(server, "/v1/users/me", bystander.access_token).status_code for _ in range(TRIES)} == {200}
    assert user.refresh().json["type"] == "/problems/session-ended"


def test_a_request_under_way_is_answered_before_the_process_ends(tmp_path: Path, start: Callable[..., Server]) -> None:
    """SIGTERM stops new requests, not the one that somebody is waiting for: a sign-in that hashes for half a second."""
    stores = Stores("sqlite", f"sqlite:///{tmp_path}/keycard.sqlite3", None)
    slow = start(stores, argon2_time_cost=10, argon2_memory_cost=65_536).wait()
    user = Visitor(slow)
    assert user.register().status_code == 201
    with socket.create_connection(("127.0.0.1", slow.port), timeout=30) as connection:
        connection.sendall(login_request(user.name))
        assert slow.status("/health/live") == 200  # by then the server has read the request before
        assert not select.select([connection], [], [], 0)[0], "answered too early to prove anything"
        slow.terminate()
        answer = connection.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b'"access_token"' in answer
    assert slow.process.wait(STOP_SECONDS) == 0
    assert slow.status("/health/live") == 0


def login_request(name: str) -> bytes:
    body = json.dumps({"username": name, "password": PASSWORD}).encode()
    head = "POST /v1/auth/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


@pytest.mark.parametrize("told", [signal.SIGTERM, signal.SIGINT])
def test_what_a_server_leaves_is_one_file(told: signal.Signals, tmp_path: Path, start: Callable[..., Server]) -> None:
    """A copy of it is a backup: nothing waits in the log beside it. Ctrl-C reaches all its processes, and none finds that odd."""
    server = start(Stores("sqlite", f"sqlite:///{tmp_path}/keycard.sqlite3", None)).wait()
    assert Visitor(server).register().status_code == 201
    assert (tmp_path / "keycard.sqlite3-wal").exists()
    os.killpg(server.process.pid, told)
    assert server.process.wait(STOP_SECONDS) == 0
    assert [file.name for file in tmp_path.glob("keycard.sqlite3*")] == ["keycard.sqlite3"]
    assert "Traceback" not in server.log
    assert "error" not in server.log


def test_the_process_that_others_are_copies_of_has_opened_nothing(tmp_path: Path, start: Callable[..., Server]) -> None:
    """Neither the database's file, nor a connection to it: SQLite loses data where two processes have one in common."""
    server = start(Stores("sqlite", f"sqlite:///{tmp_path}/keycard.sqlite3", None)).wait()
    assert Visitor(server).register().status_code == 201

    def opened(pid: int) -> set[str]:
        return {str(each.readlink()) for each in Path(f"/proc/{pid}/fd").iterdir() if each.is_symlink()}

    assert not {file for file in opened(server.process.pid) if "sqlite" in file}
    assert {file for pid in server.workers() for file in opened(pid) if "sqlite" in file}


def test_sign_ins_that_wait_leave_half_of_the_threads(stores: Stores, start: Callable[..., Server]) -> None:
    """Of eight threads four may wait for a hash. If all did, nobody would be turned away, or served, before one is done."""
    slow = {"argon2_time_cost": 20, "argon2_memory_cost": 65_536, "argon2_concurrency": 1}
    server = start(stores, "--threads", "8", ratelimit_enabled="false", **slow).wait()
    user = Visitor(server).join()
    with ThreadPoolExecutor(12) as pool:
        signing_in = [pool.submit(Visitor(server, user.name).login) for _ in range(12)]
        assert next(as_completed(signing_in)).result().status_code == 503
        assert anew(server, "/v1/users/me", user.access_token).status_code == 200
        assert not [each for each in signing_in if each.done() and each.result().status_code == 200]


def test_a_server_says_where_its_documentation_is(server: Server) -> None:
    assert f"Documentation: {server.base_url}/docs" in server.log
    assert server.client.get("/docs/", follow_redirects=True).status_code == 200
