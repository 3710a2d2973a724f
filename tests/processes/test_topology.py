"""compose.yaml by processes: two servers in production mode behind nginx, PostgreSQL and Redis as shipped, and a mail server."""

import re
import shutil
import socket
import ssl
import threading
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import redis
from psycopg.errors import InsufficientPrivilege
from sqlalchemy.engine import make_url

from tests.actors import PASSWORD, new_name
from tests.conftest import IN_CI, Stores
from tests.observability.test_metrics import SPELLINGS
from tests.outbox.configured import text_of
from tests.outbox.mail_server import MailServer
from tests.processes.proxy import NGINX, Proxy, make_certificates
from tests.processes.servers import STOP_SECONDS, Server, Visitor, eventually, free_port, keycard

ME = "/v1/users/me"
# OWASP's smallest hash, because production refuses less.
HASH = {"argon2_time_cost": 2, "argon2_memory_cost": 19_456, "argon2_parallelism": 1}
REGISTRATIONS = 30


@dataclass
class Deployment:
    """Everything that runs. Each person is somewhere else, on an address of their own."""

    proxy: Proxy
    mail: MailServer
    begin: Callable[[], Server]
    one: Server
    other: Server
    opened: list[httpx.Client] = field(default_factory=list)

    def person(self, address: str) -> Visitor:
        """Somebody who reaches the service from there."""
        seat: Any = Visitor(self.one)
        seat.server = Seat(self.proxy.client_from(address))
        self.opened.append(seat.server.client)
        return seat


@dataclass
class Seat:
    """Where a visitor sits: behind a client that leads to the proxy."""

    client: httpx.Client


@pytest.fixture(scope="module")
def deployment(
    composed_stores: Stores, start: Callable[..., Server], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    if not shutil.which(NGINX):
        (pytest.fail if IN_CI else pytest.skip)(f"there is no {NGINX} (Debian: nginx-light)")
    stores = composed_stores
    folder = tmp_path_factory.mktemp("proxy")
    folder.parent.chmod(0o755)
    proxy = Proxy(folder, free_port(), make_certificates(tmp_path_factory.mktemp("certificates")))
    with MailServer().running() as mail:
        settings = {
            **HASH, "env": "production", "public_url": proxy.base_url, "trusted_hops": 1, "smtp_url": mail.url,
            "mail_from": "Keycard <no-reply@example.com>", "ratelimit_register": f"{REGISTRATIONS}/minute",
        }  # fmt: skip
        environment = stores.environment(tmp_path_factory.mktemp("migrate"), **settings, ratelimit_enabled="true")
        keycard(environment, "db", "upgrade")
        begin = lambda: start(stores, **settings, metrics_port=free_port())  # noqa: E731
        one, other = begin(), begin()
        proxy.start(one.wait(), other.wait())
        made = Deployment(proxy, mail, begin, one, other)
        yield made
        for client in made.opened:
            client.close()
        proxy.stop()


def test_an_account_lives_across_both_replicas(deployment: Deployment) -> None:
    """Sign-up, proof of the address by mail, sign-in, refreshing and signing out; who answers does not matter."""
    ada = deployment.person("127.0.1.1")
    address = f"{ada.name}@example.com"
    assert ada.register(email=address).status_code == 201
    letter = eventually(lambda: next((each for each in deployment.mail.taken if address in each.recipients), None))
    text = text_of(letter.mail)
    assert f"{deployment.proxy.base_url}/verify-email#token=" in text
    (token,) = re.findall(r"#token=([A-Za-z0-9_-]{43})", text)
    assert ada.request("POST", "/v1/auth/email/verify", json={"token": token}).status_code == 204
    assert ada.login().status_code == 200
    for _ in range(4):
        assert [ada.get(ME).json["email_verified"] for _ in range(3)] == [True] * 3
        assert ada.refresh().status_code == 200
    assert ada.logout().status_code == 204
    assert {ada.get(ME).json["type"] for _ in range(6)} == {"/problems/token-revoked"}
    assert {ada.refresh().json["type"] for _ in range(4)} == {"/problems/session-ended"}


def test_the_service_may_do_no_more_in_postgresql_than_it_must(deployment: Deployment, composed_stores: Stores) -> None:
    """It owns its database. It is no superuser, makes neither roles nor databases, and runs no program."""
    with psycopg.connect(composed_stores.database_url, autocommit=True) as connection:
        rights = "rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication OR rolbypassrls"
        assert connection.execute(f"SELECT {rights} FROM pg_roles WHERE rolname = current_user").fetchone() == (False,)
        assert connection.execute("SELECT count(*) FROM pg_auth_members WHERE member = current_user::regrole").fetchone() == (0,)
        for refused in (
            "CREATE ROLE another",
            "CREATE DATABASE another",
            "COPY users FROM PROGRAM 'id'",
            "ALTER SYSTEM RESET ALL",
        ):
            with pytest.raises(InsufficientPrivilege):
                connection.execute(refused)


@pytest.mark.parametrize("user", ["keycard", "postgres"])
def test_postgresql_is_closed_without_a_password(composed_stores: Stores, user: str) -> None:
    url = make_url(composed_stores.database_url).set(username=user, password="guessed")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(url.render_as_string(hide_password=False))


def test_redis_is_closed_without_the_password(composed_stores: Stores) -> None:
    """Whoever reached it could lift a rate limit, or call revoked tokens good to other services."""
    port = make_url(composed_stores.redis_url or "").port or 0
    for password in (None, "guessed"):
        with redis.Redis(port=port, password=password) as client, pytest.raises(redis.AuthenticationError):
            client.ping()


def test_redis_keeps_every_key_and_writes_none_to_disk(composed_stores: Stores) -> None:
    """The rest of what compose.yaml configures has arrived."""
    wanted = {"save": "", "appendonly": "no", "maxmemory": str(256 * 1024 * 1024), "maxmemory-policy": "noeviction"}
    with redis.Redis.from_url(composed_stores.redis_url or "", decode_responses=True) as client:
        assert client.config_get(*wanted) == wanted


def test_no_password_is_in_the_list_of_processes(composed_stores: Stores) -> None:
    """Everybody on the machine reads that."""
    secrets = [make_url(each or "").password or "?" for each in (composed_stores.database_url, composed_stores.redis_url)]
    listed = ""
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it has just ended
            listed += each.read_text(errors="replace")
    assert "redis-server" in listed
    assert not [each for each in secrets if each in listed]


def test_both_replicas_are_asked(deployment: Deployment) -> None:
    """The ground on which the others stand."""
    client = deployment.proxy.client
    assert {client.get("/health/ready").status_code for _ in range(10)} == {200}
    asked = {upstream.split()[0] for _, _, upstream in deployment.proxy.answered()}
    assert {f"127.0.0.1:{deployment.one.port}", f"127.0.0.1:{deployment.other.port}"} <= asked


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"X-Forwarded-For": "203.0.113.9"},
        {"X-Forwarded-For": "203.0.113.9, 127.0.0.1"},
        {"X_Forwarded_For": "203.0.113.9"},
        {"Forwarded": "for=203.0.113.9", "X-Real-IP": "203.0.113.9"},
    ],
    ids=["honest", "one", "two", "underscores", "others"],
)
def test_the_address_is_the_one_that_nginx_saw(deployment: Deployment, claims: dict[str, str]) -> None:
    """Whatever the client says about itself."""
    ada = deployment.person("127.0.2.1")
    assert ada.register().status_code == 201
    body = {"username": ada.name, "password": ada.password, "delivery": "body"}
    ada.keep(ada.request("POST", "/v1/auth/login", json=body, headers=claims))
    (session,) = ada.get(f"{ME}/sessions").json["items"]
    assert session["ip_address"] == "127.0.2.1"


def test_limits_count_each_address_by_itself_over_both_replicas(deployment: Deployment) -> None:
    """Neither is everybody the proxy, nor is somebody a crowd because of a header."""
    flood = deployment.proxy.client_from("127.0.3.1")
    bystander = deployment.proxy.client_from("127.0.3.2")
    deployment.opened += [flood, bystander]
    answers = [
        flood.post("/v1/auth/register", json={}, headers={"X-Forwarded-For": f"203.0.113.{number}"}).status_code
        for number in range(REGISTRATIONS + 5)
    ]
    assert Counter(answers) == {422: REGISTRATIONS, 429: 5}
    assert bystander.post("/v1/auth/register", json={}).status_code == 422


def test_cookies_are_those_of_https(deployment: Deployment) -> None:
    """Keycard hears from the proxy that the client came by TLS, and its public URL says so."""
    client = deployment.proxy.client_from("127.0.4.1")
    deployment.opened.append(client)
    account = {"username": new_name(), "password": PASSWORD}
    assert client.post("/v1/auth/register", json=account).status_code == 201
    answer = client.post("/v1/auth/login", json={**account, "delivery": "cookie"})
    assert answer.status_code == 200
    assert all("Secure" in cookie for cookie in answer.headers.get_list("set-cookie"))
    assert client.get(ME).json()["username"] == account["username"]


def test_bodies_that_trickle_in_hold_no_thread(deployment: Deployment) -> None:
    """More of them than the replicas have threads, and meanwhile others are served; then each is answered as any other."""
    asked_before = len(deployment.proxy.answered())
    with ExitStack() as stack:
        trickles = [stack.enter_context(begin_trickle(deployment.proxy)) for _ in range(30)]
        for _ in range(5):
            for each in trickles:
                each.sendall(b" ")
            assert deployment.proxy.client.get("/health/ready").status_code == 200
            assert deployment.proxy.client.get("/v1/config").status_code == 200
        asked = [request for request, *_ in deployment.proxy.answered()[asked_before:]]
        assert not [each for each in asked if each.startswith("POST")]
        for each in trickles:
            each.sendall(b"{}".ljust(95))
        # An empty sign-in, and soon too many of them.
        assert {each.recv(12) for each in trickles} == {b"HTTP/1.1 422", b"HTTP/1.1 429"}


def connect(proxy: Proxy) -> socket.socket:
    """A connection on which nothing was asked yet."""
    raw = socket.create_connection(("127.0.0.1", proxy.port), timeout=30)
    return proxy.trust.wrap_socket(raw, server_hostname="127.0.0.1")


def begin_trickle(proxy: Proxy) -> socket.socket:
    """A sign-in whose body of 100 bytes does not come."""
    head = "POST /v1/auth/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\n"
    connection = connect(proxy)
    connection.sendall(f"{head}Content-Length: 100\r\n\r\n".encode())
    return connection


def test_what_is_too_large_is_refused_as_documented(deployment: Deployment) -> None:
    """By Keycard up to nginx's own limit, which is larger; beyond it by nginx."""
    client = deployment.proxy.client
    answers = [client.post("/v1/auth/login", json={"username": "x" * size}) for size in (70_000, 300_000)]
    assert [each.status_code for each in answers] == [413, 413]
    assert answers[0].json()["type"] == "/problems/payload-too-large"


def test_what_nginx_answers_itself_is_sealed_too(deployment: Deployment) -> None:
    """Each header once, whoever answered: Keycard, or nginx to a body that is too large or a request that is none."""
    policy = "default-src 'none'; base-uri 'none'; frame-ancestors 'none'; object-src 'none'"
    wanted = {
        "strict-transport-security": "max-age=31536000; includeSubDomains",
        "x-content-type-options": "nosniff",
        "content-security-policy": policy,
        "referrer-policy": "no-referrer",
    }
    client = deployment.proxy.client
    answers = [client.post("/v1/auth/login", json={"username": "x" * size}) for size in (1, 300_000)]
    answers.append(client.request("TRACE", "/"))
    assert [each.status_code for each in answers] == [422, 413, 405]
    for answer in answers:
        assert {name: answer.headers.get_list(name) for name in wanted} == {name: [value] for name, value in wanted.items()}


@pytest.mark.parametrize("name", ["TLSv1", "TLSv1_1", "TLSv1_2", "TLSv1_3"])
def test_old_tls_is_refused(deployment: Deployment, name: str) -> None:
    """1.2 and 1.3 are spoken, with ciphers that encrypt and authenticate at once and keep the past secret."""
    context = ssl.create_default_context(cafile=deployment.proxy.authority)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings(action="ignore"):  # the old ones are deprecated, and this is why they are tried
        version = context.minimum_version = context.maximum_version = ssl.TLSVersion[name]
    raw = socket.create_connection(("127.0.0.1", deployment.proxy.port), timeout=30)
    if version < ssl.TLSVersion.TLSv1_2:
        with raw, pytest.raises((ssl.SSLError, ConnectionError)):
            context.wrap_socket(raw, server_hostname="127.0.0.1")
        return
    with context.wrap_socket(raw, server_hostname="127.0.0.1") as connection:
        cipher, spoken, bits = connection.cipher() or ("", "", 0)
    assert spoken == "TLSv1.3" or cipher.startswith("ECDHE-")
    assert "GCM" in cipher or "CHACHA20" in cipher
    assert bits >= 128


def test_without_tls_nothing_is_answered(deployment: Deployment) -> None:
    """Nor is anybody led to https, who would then go on sending secrets in clear first."""
    answer = httpx.post(f"http://127.0.0.1:{deployment.proxy.port}/v1/auth/login", json={}, trust_env=False)
    assert answer.status_code == 400
    assert "location" not in answer.headers


def test_a_request_with_two_lengths_is_refused(deployment: Deployment) -> None:
    """Whoever reads the one and whoever reads the other would see different requests: the second one is smuggled."""
    smuggled = "0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"
    lengths = f"Content-Length: {len(smuggled)}\r\nTransfer-Encoding: chunked\r\n"
    with connect(deployment.proxy) as connection:
        connection.sendall(f"POST /v1/auth/login HTTP/1.1\r\nHost: localhost\r\n{lengths}\r\n{smuggled}".encode())
        assert connection.makefile("rb").read().startswith(b"HTTP/1.1 400 ")
    assert not [request for request, *_ in deployment.proxy.answered() if "/smuggled" in request]


@pytest.mark.parametrize("path", SPELLINGS)
def test_metrics_are_not_for_outside(deployment: Deployment, path: str) -> None:
    """However their address is spelt: both replicas have them, on a port that the proxy does not know."""
    for replica in (deployment.one, deployment.other):
        eventually(lambda replica=replica: "keycard_requests_total{" in replica.metrics())
    assert ask_as_written(deployment.proxy, path).startswith("HTTP/1.1 404 ")


def ask_as_written(proxy: Proxy, path: str) -> str:
    """The answer to a GET. A client library would write some addresses in another way."""
    with connect(proxy) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        return connection.makefile("rb").read().decode()


class Load:
    """People who use the service without a pause while the block runs, and what they were told."""

    def __init__(self, people: list[Visitor]) -> None:
        self.people = people
        self.told: Counter[tuple[str, Any]] = Counter()
        self._end = threading.Event()
        self._lock = threading.Lock()

    def __enter__(self) -> "Load":
        self._pool = ThreadPoolExecutor(len(self.people))
        self._running = [self._pool.submit(self._use, person) for person in self.people]
        return self

    def _use(self, person: Visitor) -> None:
        while not self._end.is_set():
            self._tell("GET", lambda: person.get(ME))
            self._tell("DELETE", lambda: person.delete(f"{ME}/sessions"))
            # A POST is not repeated by the proxy; a client may repeat this one, because of the grace window.
            if self._tell("POST", person.refresh) != 200:
                self._tell("POST again", person.refresh)

    def _tell(self, method: str, call: Callable[[], Any]) -> Any:
        try:
            told: Any = call().status_code
        except httpx.TransportError as error:
            told = repr(error)
        with self._lock:
            self.told[method, told] += 1
        return told

    def more(self, count: int = 120) -> None:
        """Wait until so much more was answered."""
        enough = sum(self.told.values()) + count
        eventually(lambda: sum(self.told.values()) >= enough, 60)

    def __exit__(self, *_: object) -> None:
        self._end.set()
        for each in self._running:
            each.result(60)
        self._pool.shutdown()


def test_stopping_a_replica_under_load_is_not_seen(deployment: Deployment) -> None:
    """Nor its start; and then it takes part again. Sessions go on, whoever had answered."""
    people = [deployment.person("127.0.5.1") for _ in range(6)]
    for person in people:
        person.join()
    with Load(people) as load:
        load.more()
        deployment.other.terminate()
        assert deployment.other.process.wait(STOP_SECONDS) == 0
        load.more()
        deployment.other.start_again()
        load.more()
        before = len(deployment.proxy.answered())
        eventually(lambda: asked_since(deployment, before)[f"127.0.0.1:{deployment.other.port}"] > 20, 30)
    assert {("GET", 200), ("DELETE", 204), ("POST", 200)} <= set(load.told)
    assert set(load.told) <= {("GET", 200), ("DELETE", 204), ("POST", 200), ("POST", 502), ("POST again", 200)}, load.told


def asked_since(deployment: Deployment, before: int) -> Counter[str]:
    """How many requests each server has answered alone since then."""
    return Counter(upstream.split()[0] for _, status, upstream in deployment.proxy.answered()[before:] if status == 200)
