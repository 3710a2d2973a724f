"""The log of a real server in production: JSON, and no secret in it."""

import json
import re
from collections.abc import Callable

import psycopg
import pytest
from sqlalchemy.engine import make_url

from tests.actors import Bearer
from tests.conftest import Stores
from tests.contract.operations import Operation
from tests.contract.test_security_matrix import ALL
from tests.observability.marks import Marks, calls
from tests.outbox.configured import text_of
from tests.outbox.mail_server import MailServer
from tests.processes.servers import RedisServer, Server, Visitor, eventually, keycard


@pytest.fixture(scope="module")
def marks() -> Marks:
    return Marks()


@pytest.fixture(scope="module")
def stores(new_postgresql: Callable[[], str], redis_server: RedisServer, marks: Marks) -> Stores:
    """PostgreSQL and Redis, with marked passwords."""
    database, cache = (marks.new() for _ in range(2))
    redis_server.client.config_set("requirepass", cache)
    redis_server.client.close()
    url = make_url(new_postgresql()).set(password=database)  # taken without being asked for
    redis_url = f"redis://:{cache}@127.0.0.1:{redis_server.port}/0"
    return Stores("postgresql", url.render_as_string(hide_password=False), redis_url)


@pytest.fixture(scope="module")
def production(stores: Stores, start: Callable[..., Server], marks: Marks, mail: MailServer) -> tuple[Server, Bearer]:
    """A server in production, whose settings are secrets, and its administrator."""
    settings = {
        "env": "production", "public_url": "https://auth.example.com", "mail_from": "keycard@example.com", "log_level": "debug",
        "jwt_algorithm": "HS256", "jwt_secret": marks.new(), "smtp_url": mail.url, "argon2_memory_cost": 19_456,
        "argon2_time_cost": 2, "ratelimit_login_account": "100000/minute", "ratelimit_mail": "100000/minute",
    }  # fmt: skip
    server = start(stores, **settings)
    keycard(server.environment, "db", "upgrade")
    admin = Visitor(server)
    admin.password = marks.new("pw")
    told = keycard(server.environment, "users", "create", admin.name, "--password", admin.password, "--admin")
    assert not [line for line in told.splitlines() if marks.stem in line]
    return server.wait(), admin


@pytest.mark.timeout(300)
def test_a_server_in_production_logs_no_secret(
    production: tuple[Server, Bearer],
    redis_server: RedisServer,
    marks: Marks,
    mail: MailServer,
) -> None:
    """Every operation, then without Redis, then without the database. All lines are JSON objects."""
    server, admin = production
    people = [new_visitor(server, marks) for _ in range(2)]
    for operation in ALL:
        ends = str(operation) in {"delete_me", "change_password"}
        live(new_visitor(server, marks) if ends else admin if operation.roles else people[0], operation, marks)
    eventually(lambda: mail.taken)
    marks.add(*re.findall(r"#token=([A-Za-z0-9_-]{43})", text_of(mail.taken[-1].mail)))
    redis_server.kill()
    for operation in [each for each in ALL if each.method == "post" and not each.roles]:
        live(people[1], operation, marks)
    assert people[1].logout().status_code == 204
    take_the_tables_away(server.environment["KEYCARD_DATABASE_URL"])
    assert people[1].login().status_code == 503
    eventually(lambda: "mail waits" in server.log)
    server.terminate()
    server.process.wait(60)
    assert not marks.leaked_in(server.log)
    assert "#token=" not in server.log
    lines = [json.loads(line) for line in server.log.splitlines()]
    assert {str(each) for each in ALL} <= {line.get("operation") for line in lines}
    assert {"database unavailable: UndefinedTable", "revocation mirror unavailable: ConnectionError"} <= {
        line["event"] for line in lines
    }
    assert all({"timestamp", "level", "event"} <= set(line) for line in lines)


def new_visitor(server: Server, marks: Marks) -> Visitor:
    """Somebody with a marked password."""
    found = Visitor(server)
    found.password = marks.new("pw")
    assert found.register(email=f"{found.name}@example.com").status_code == 201
    return found


def live(actor: Bearer, operation: Operation, marks: Marks) -> None:
    """Sign in anew and call an operation."""
    assert actor.login().status_code == 200
    marks.add(actor.access_token, actor.refresh_token)
    assert list(calls(operation, actor, marks, about=actor.id))


def take_the_tables_away(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for name in ("sessions", "users", "outgoing_emails"):
            connection.execute(f"ALTER TABLE {name} RENAME TO gone_{name}")
