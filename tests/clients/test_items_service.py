"""The example service accepts the tokens of a live Keycard, with no database and no shared secret."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import redis
from keycard_client import Keycard, MemoryStorage

from clients.generate.common import CLIENTS
from tests.actors import PASSWORD, new_name
from tests.clients.conftest import tool
from tests.clients.proxy import Proxy
from tests.conftest import Stores
from tests.processes.servers import TLS, Server, eventually, free_port, keycard

SDK = CLIENTS / "python"
APP = CLIENTS / "examples" / "items_service" / "app.py"
JWKS = "GET /.well-known/jwks.json"


@dataclass
class Items:
    """The service, and the Keycard whose tokens it takes."""

    base_url: str
    proxy: Proxy
    server: Server

    def get(self, path: str, token: str | None = None) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.get(self.base_url + path, headers=headers, timeout=30, trust_env=False, verify=TLS)

    def answers(self) -> bool:
        try:
            return self.get("/items").status_code == 401
        except httpx.TransportError:
            return False


def serve(folder: Path, redis_url: str | None) -> Iterator[Items]:
    """Keycard behind a proxy, whose address is its public URL; and the service, which is told that address and nothing else."""
    stores = Stores("sqlite", f"sqlite:///{folder}/keycard.sqlite3", redis_url)
    with Proxy() as proxy:
        server = Server(stores.environment(folder, public_url=proxy.base_url), "--threads", "4")
        proxy.target = server.base_url
        told = {"PATH": os.environ["PATH"], "PYTHONPATH": str(SDK), "KEYCARD_URL": proxy.base_url}
        told |= {"ITEMS_REDIS_URL": redis_url} if redis_url else {}
        port = free_port()
        command = [sys.executable, "-m", "flask", "--app", APP, "run", "--port", str(port)]
        with (folder / "items.log").open("wb") as log:
            process = subprocess.Popen(command, env=told, cwd=folder, stdout=log, stderr=subprocess.STDOUT)
        items = Items(f"http://127.0.0.1:{port}", proxy, server)
        try:
            server.wait()
            eventually(items.answers, 60)
            yield items
        finally:
            process.terminate()
            process.wait(20)
            server.stop()


@pytest.fixture(scope="module")
def items(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Items]:
    yield from serve(tmp_path_factory.mktemp("items"), None)


@pytest.fixture(scope="module")
def mirrored(tmp_path_factory: pytest.TempPathFactory, redis_url: str) -> Iterator[Items]:
    yield from serve(tmp_path_factory.mktemp("mirrored"), redis_url)


class Person:
    """Somebody who is signed in."""

    def __init__(self, items: Items) -> None:
        self.name = new_name()
        self.storage = MemoryStorage()
        self.keycard = Keycard(items.proxy.base_url, storage=self.storage)
        self.id = str(self.keycard.register(username=self.name, password=PASSWORD).id)
        self.keycard.login(username=self.name, password=PASSWORD)

    @property
    def access_token(self) -> str:
        tokens = self.storage.load()
        assert tokens
        assert tokens.access_token
        return tokens.access_token

    @property
    def refresh_token(self) -> str:
        tokens = self.storage.load()
        assert tokens
        assert tokens.refresh_token
        return tokens.refresh_token


def refused(answer: httpx.Response, status: int, challenge: str) -> None:
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (status, challenge)
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["status"] == status


def test_whoever_is_signed_in_gets_the_items(items: Items) -> None:
    """With the keys alone: Keycard is asked for them once, and for nothing else."""
    person = Person(items)
    before = len(items.proxy.seen)
    for _ in range(10):
        answer = items.get("/items", person.access_token)
        assert (answer.status_code, answer.json()["buyer"]) == (200, person.id)
    assert set(items.proxy.seen[before:]) <= {JWKS}
    assert items.proxy.seen.count(JWKS) == 1


def test_nobody_else_does(items: Items) -> None:
    person = Person(items)
    refused(items.get("/items"), 401, "Bearer")
    refused(items.get("/items", person.refresh_token), 401, 'Bearer error="invalid_token"')
    head, body, signature = person.access_token.split(".")
    refused(items.get("/items", f"{head}.{body}.{signature[::-1]}"), 401, 'Bearer error="invalid_token"')
    assert items.get("/items", person.access_token).status_code == 200


def test_the_stock_is_for_clerks(items: Items) -> None:
    person = Person(items)
    refused(items.get("/stock", person.access_token), 403, 'Bearer error="insufficient_scope"')
    keycard(items.server.environment, "users", "promote", person.name, "--role", "clerk")
    person.keycard.refresh()
    assert items.get("/stock", person.access_token).status_code == 200


def test_without_the_mirror_a_token_is_good_until_it_expires(items: Items) -> None:
    """As the README of the example says."""
    person = Person(items)
    token = person.access_token
    person.keycard.logout()
    assert items.get("/items", token).status_code == 200


def test_with_the_mirror_a_revoked_token_is_refused_at_once(mirrored: Items) -> None:
    """Whether its session was ended, or only the token, by a change of roles."""
    person, other = Person(mirrored), Person(mirrored)
    token = person.access_token
    assert mirrored.get("/items", token).status_code == 200
    person.keycard.logout()
    refused(mirrored.get("/items", token), 401, 'Bearer error="invalid_token"')

    token = other.access_token
    keycard(mirrored.server.environment, "users", "promote", other.name, "--role", "clerk")
    refused(mirrored.get("/items", token), 401, 'Bearer error="invalid_token"')
    other.keycard.refresh()
    assert mirrored.get("/stock", other.access_token).status_code == 200


def test_a_mirror_that_is_not_complete_lets_nobody_in(mirrored: Items, redis_url: str) -> None:
    person = Person(mirrored)
    with redis.Redis.from_url(redis_url) as client:
        client.delete("keycard:revoked:complete")
        try:
            answer = mirrored.get("/items", person.access_token)
            assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
        finally:
            assert mirrored.server.status() == 200  # the readiness check mends it
    assert mirrored.get("/items", person.access_token).status_code == 200


def test_the_service_is_as_strict_in_its_types(tmp_path: Path) -> None:
    command = [tool("mypy"), "--strict", "--cache-dir", tmp_path, APP]
    done = subprocess.run(
        command, cwd=tmp_path, env=os.environ | {"MYPYPATH": str(SDK)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
