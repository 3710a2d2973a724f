"""PostgreSQL and Redis over TLS, each side with a certificate: the settings that docs/security.md shows."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg
import pytest
import redis
from flask import Flask
from sqlalchemy.engine import make_url

from api import create_app
from api.database import close_connections
from tests.actors import Bearer, Operator
from tests.conftest import IN_CI, Stores
from tests.processes.servers import STOP_SECONDS, PostgresServer, Server, Visitor, eventually, free_port

ROLE = "keycard"


@dataclass(frozen=True)
class Authority:
    """Signs certificates into a folder."""

    folder: Path

    @classmethod
    def make(cls, folder: Path) -> "Authority":
        _openssl("req", "-x509", *KEY, "-subj", "/CN=Authority", "-keyout", folder / "ca.key", "-out", folder / "ca.pem")
        return cls(folder)

    @property
    def file(self) -> Path:
        return self.folder / "ca.pem"

    def sign(self, name: str) -> None:
        """Make `name.pem` and `name.key`, good for this name, for this machine's address, and as either side."""
        key, asked, extensions = (self.folder / f"{name}.{kind}" for kind in ("key", "csr", "ext"))
        extensions.write_text("subjectAltName=IP:127.0.0.1\n")
        _openssl("req", *KEY, "-subj", f"/CN={name}", "-keyout", key, "-out", asked)
        own = ("-CA", self.file, "-CAkey", self.folder / "ca.key", "-CAcreateserial", "-extfile", extensions)
        _openssl("x509", "-req", "-in", asked, *own, "-out", self.folder / f"{name}.pem")


KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


@dataclass(frozen=True)
class Secured:
    """Stores that are reached over TLS alone. stranger: an authority that nobody should trust."""

    stores: Stores
    server: PostgresServer
    stranger: Authority

    def database_url(self, **changes: str) -> str:
        """Where PostgreSQL is, with other parameters."""
        return make_url(self.stores.database_url).update_query_dict(changes).render_as_string(hide_password=False)

    def redis_url(self, authority: Authority) -> str:
        return str(self.stores.redis_url).replace(f"ssl_ca_certs={self._trusted}", f"ssl_ca_certs={authority.file}")

    @property
    def _trusted(self) -> str:
        return str(make_url(self.stores.database_url).query["sslrootcert"])


@pytest.fixture(scope="module")
def secured(postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    if not shutil.which("redis-server"):
        (pytest.fail if IN_CI else pytest.skip)("there is no redis-server on this machine")
    authority, stranger = (Authority.make(tmp_path_factory.mktemp("authority")) for _ in range(2))
    for name in ("server", ROLE):
        authority.sign(name)
    database_url = close_postgresql(postgres_server, authority)
    with redis_over_tls(authority, tmp_path_factory.mktemp("redis")) as redis_url:
        yield Secured(Stores("postgresql", database_url, redis_url), postgres_server, stranger)


def close_postgresql(server: PostgresServer, authority: Authority) -> str:
    """Let in a role of its own, with a certificate of its name, and nobody else over the network but the administrator."""
    data = server.folder / "data"
    for name in ("ca.pem", "server.pem", "server.key"):
        shutil.copy(authority.folder / name, data / name)
        shutil.chown(data / name, data.owner(), data.group())
    (data / "server.key").chmod(0o600)
    with server.connect() as administrator:
        administrator.execute(f"CREATE ROLE {ROLE} LOGIN")
        administrator.execute(f"CREATE DATABASE {ROLE} OWNER {ROLE}")
        for name, value in (("ssl_ca_file", "ca.pem"), ("ssl_cert_file", "server.pem"), ("ssl_key_file", "server.key")):
            administrator.execute(f"ALTER SYSTEM SET {name} = '{value}'")
        administrator.execute("ALTER SYSTEM SET ssl = on")
        (data / "pg_hba.conf").write_text("host all postgres 127.0.0.1/32 trust\nhostssl all all 127.0.0.1/32 cert\n")
        administrator.execute("SELECT pg_reload_conf()")
    mine = {"sslcert": f"{authority.folder / ROLE}.pem", "sslkey": f"{authority.folder / ROLE}.key"}
    url = make_url(server.url(user=ROLE, database=ROLE)).update_query_dict(
        {"sslmode": "verify-full", "sslrootcert": str(authority.file), **mine}
    )
    return url.render_as_string(hide_password=False)


class redis_over_tls:  # noqa: N801 - used as a function
    """A Redis that speaks TLS alone, and only to those whom the authority knows. Gives its URL."""

    def __init__(self, authority: Authority, folder: Path) -> None:
        port, own = free_port(), authority.folder
        pairs = {"cert": own / "server.pem", "key": own / "server.key", "ca-cert": authority.file}
        files = [part for name, file in pairs.items() for part in (f"--tls-{name}-file", str(file))]
        self._command = ["redis-server", "--port", "0", "--tls-port", str(port), "--bind", "127.0.0.1", "--save", "", *files]
        self._folder = folder
        mine = f"ssl_certfile={own / ROLE}.pem&ssl_keyfile={own / ROLE}.key"
        self.url = f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={authority.file}&{mine}"

    def __enter__(self) -> str:
        self._process = subprocess.Popen(self._command, cwd=self._folder, stdout=subprocess.DEVNULL)
        eventually(lambda: _answers(self.url))
        return self.url

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(STOP_SECONDS)


def _answers(url: str) -> bool:
    try:
        with redis.Redis.from_url(url) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False


def test_the_service_lives_on_connections_that_are_encrypted(secured: Secured, start: Callable[..., Server]) -> None:
    """Every one of them, and each with Keycard's own certificate; readiness says that both stores are reached."""
    server = start(secured.stores).wait()
    ada = Visitor(server).join()
    assert ada.logout().status_code == 204
    asked = "SELECT ssl, client_dn FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = %s"
    with secured.server.connect() as administrator:
        assert {*administrator.execute(asked, [ROLE])} == {(True, f"/CN={ROLE}")}
    with redis.Redis.from_url(str(secured.stores.redis_url)) as client:
        assert client.keys("keycard:revoked:sid:*")


def test_a_postgresql_that_a_stranger_vouches_for_is_not_spoken_to(secured: Secured, tmp_path: Path) -> None:
    stores = replace(secured.stores, database_url=secured.database_url(sslrootcert=str(secured.stranger.file)))
    app = create_app(stores.settings(tmp_path))
    answer = Bearer(app).register()
    close_connections(app)
    assert (answer.status_code, answer.json["type"]) == (503, "/problems/service-unavailable")


def test_a_redis_that_a_stranger_vouches_for_is_not_spoken_to(secured: Secured, new_app: Callable[..., Flask]) -> None:
    good, bad = (
        Operator(new_app(stores=replace(secured.stores, redis_url=url))).ready()
        for url in (secured.stores.redis_url, secured.redis_url(secured.stranger))
    )
    assert (good.json["redis"], bad.json["redis"]) == ("ok", "away")


@pytest.mark.parametrize("changes", [{"sslmode": "disable"}, {"sslcert": "/nowhere", "sslkey": "/nowhere"}], ids=["tls", "name"])
def test_postgresql_is_closed_without_them(secured: Secured, changes: dict[str, str]) -> None:
    """The ground on which the others stand."""
    with pytest.raises(psycopg.OperationalError, match=r"pg_hba\.conf|certificate"):
        psycopg.connect(secured.database_url(**changes))


def test_redis_is_closed_without_them(secured: Secured) -> None:
    with_authority_alone = str(secured.stores.redis_url).partition("&")[0]
    assert _answers(str(secured.stores.redis_url))
    assert not _answers(with_authority_alone)
    assert not _answers(with_authority_alone.replace("rediss://", "redis://").partition("?")[0])
