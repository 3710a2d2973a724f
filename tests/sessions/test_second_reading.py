"""What a second reading of the whole service with an attacker's eyes has found, so that it stays mended.

Found elsewhere: addresses in tests/http/test_device.py, HS256 in tests/keys/test_hs256_rotation.py.
"""

import logging
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import jwt
import pytest
import redis
from flask import Flask
from flask_migrate import upgrade
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.orm import Session as Database
from werkzeug.security import generate_password_hash

from api import admin as administration
from api import create_app, keys, users
from api.config import ConfigurationError, Settings, load_settings
from api.database import db, transaction
from api.docs import demo
from api.prepared import Change
from api.sessions import dead_tokens, revocation
from api.users import passwords
from tests.actors import PASSWORD, Bearer
from tests.conftest import Stores
from tests.processes.servers import Server, eventually, simultaneously
from tests.slots import every_slot_taken

ME = "/v1/users/me"
MIRRORED = "keycard:revoked:"
PRODUCTION = {
    "env": "production",
    "public_url": "https://auth.example.com",
    "database_url": "postgresql://keycard@db.example.com/keycard",
    "smtp_url": "smtps://keycard@mail.example.com",
    "mail_from": "Keycard <no-reply@example.com>",
}


def claims(token: str | None) -> dict[str, Any]:
    found: dict[str, Any] = jwt.decode(token or "", options={"verify_signature": False})
    return found


# Settings


def test_a_relative_sqlite_file_lies_in_the_instance_folder_for_its_owner_alone(tmp_path: Path) -> None:
    """Also what SQLite writes beside it: the signing keys are in the -wal before they are in the file."""
    app = create_app(Settings(instance_path=str(tmp_path / "instance"), database_url="sqlite:///keycard.db"))
    with app.app_context():
        upgrade()
        keys.ensure_current()
        files = {each.name: each.stat().st_mode & 0o777 for each in (tmp_path / "instance").iterdir()}
        for engine in db.engines.values():
            engine.dispose()
    assert files == {f"keycard.db{end}": 0o600 for end in ("", "-wal", "-shm")}


def test_a_sqlite_file_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    file = tmp_path / "keycard.db"
    file.touch(mode=0o644)
    file.chmod(0o644)
    create_app(Settings(instance_path=str(tmp_path), database_url=f"sqlite:///{file}"))
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "url", ["sqlite:///file:keycard.db?uri=true", "sqlite:///keycard.db?mode=ro", "sqlite:////tmp/x?cache=shared"]
)
def test_a_sqlite_url_with_parameters_is_refused(url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """They make another file of it than the one that was closed to others."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KEYCARD_DATABASE_URL", url)
    with pytest.raises(ConfigurationError, match=r"KEYCARD_DATABASE_URL: .*no parameters"):
        load_settings()


@pytest.mark.parametrize(
    "origin",
    ["https://*.example.com", "https://app.example.com*", "https://.*", r"https://[a-z]+\.example\.com", "https://(a|b).example.com",
     "https://app.example.com|https://b.example", "https://^app.example.com", "https://app.example.com?", "https://a b.example",
     "https://user@app.example.com"],
)  # fmt: skip
def test_an_origin_that_would_be_a_pattern_is_refused(origin: str) -> None:
    """Flask-CORS would search for it, and find it in the middle of an attacker's name."""
    assert [each.partition(":")[0] for each in Settings(cors_origins=(origin,)).faults()] == ["KEYCARD_CORS_ORIGINS"]


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("PUBLIC_URL", "https://[auth.example.com"),
        ("CORS_ORIGINS", "https://[app].example.com"),
        ("REDIS_URL", "redis://[redis.example.com:6379/0"),
        ("SMTP_URL", "smtp://keycard:sesa[me@mail.example.com"),
        ("RESET_PASSWORD_URL", "https://[app.example.com/reset"),
        ("DATABASE_URL", "postgresql://keycard:sesame@db.example.com:port/keycard"),
    ],
)
def test_a_url_that_cannot_be_read_is_named_and_not_told(
    name: str, url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As every other fault, not with a traceback, in which a password with an odd character would stand."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(f"KEYCARD_{name}", url)
    with pytest.raises(ConfigurationError) as raised:
        load_settings()
    assert [each.partition(":")[0] for each in str(raised.value).splitlines()] == [f"KEYCARD_{name}"]
    assert "sesa" not in str(raised.value)


@pytest.mark.parametrize("origin", ["https://app.example.com", "http://localhost:3000", "https://xn--bcher-kva.example:8443"])
def test_an_origin_that_is_one_is_accepted(origin: str) -> None:
    assert Settings(cors_origins=(origin,)).faults() == []


def test_the_dot_of_an_origin_is_a_dot(new_app: Callable[..., Flask]) -> None:
    client = new_app(cors_origins=("https://app.example.com",)).test_client()
    near_misses = (
        "https://appxexample.com",
        "https://app.example.com.evil.example",
        "https://evil.example/https://app.example.com",
    )
    for origin, allowed in (("https://app.example.com", True), *[(each, False) for each in near_misses]):
        answer = client.get("/v1/auth/session", headers={"Origin": origin})
        assert answer.headers.getlist("Access-Control-Allow-Origin") == ([origin] if allowed else [])


def test_no_secret_is_shown_when_settings_are_printed() -> None:
    """They stand in tracebacks, and in the reports of crash collectors."""
    secrets = {
        "jwt_secret": "kJ8s-2mQ_x7Vb0Zt4RyWn9LcE3uHfAgPq",
        "database_url": "postgresql://keycard:sesame@db.example.com/keycard",
        "redis_url": "redis://:sesame@redis.example.com:6379/0",
        "smtp_url": "smtps://keycard:sesame@mail.example.com",
    }
    shown = repr(Settings(jwt_algorithm="HS256", **secrets))
    assert "HS256" in shown
    assert not any(secret in shown for secret in (*secrets.values(), "sesame"))


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"verify_email_url": "http://app.example.com/verify"}, "KEYCARD_*_URL"),
        ({"reset_password_url": "http://app.example.com/reset"}, "KEYCARD_*_URL"),
        ({"breached_passwords_url": "http://api.example.com/range/"}, "KEYCARD_*_URL"),
        ({"mail_from": "keycard@localhost"}, "KEYCARD_MAIL_FROM"),
        ({"mail_from": "Keycard <keycard@localhost>"}, "KEYCARD_MAIL_FROM"),
        ({"argon2_memory_cost": 8, "argon2_parallelism": 1, "argon2_time_cost": 4864}, "KEYCARD_ARGON2_*"),
        ({"argon2_memory_cost": 7167, "argon2_time_cost": 6}, "KEYCARD_ARGON2_*"),
    ],
)
def test_production_refuses_what_only_looks_safe(values: dict[str, Any], named: str) -> None:
    """Many passes over a few KiB are no argon2: it is the memory that a graphics card has not."""
    assert [each.partition(":")[0] for each in Settings(**{**PRODUCTION, **values}).faults()] == [named]
    assert Settings(**values).faults() == []


def test_production_accepts_the_least_that_is_safe() -> None:
    least = {"argon2_memory_cost": 7168, "argon2_time_cost": 6, "reset_password_url": "https://app.example.com/reset"}
    assert Settings(**{**PRODUCTION, **least}).faults() == []


# Demo accounts


@pytest.mark.parametrize(
    ("values", "alone"),
    [
        ({}, True),
        ({"public_url": "http://localhost:8000"}, True),
        ({"trusted_hops": 1}, False),
        ({"public_url": "https://auth.example.com"}, False),
        ({"public_url": "http://127.0.0.1.example.com"}, False),
        ({"env": "production"}, False),
    ],
)
def test_who_can_reach_a_deployment_is_told_by_its_settings(values: dict[str, Any], alone: bool) -> None:
    assert Settings(**values).reachable_only_from_here is alone


@pytest.mark.parametrize(
    "settings", [{"trusted_hops": 1}, {"public_url": "https://auth.example.com"}], ids=lambda each: next(iter(each))
)
def test_behind_a_proxy_there_is_no_demo_administrator(
    new_stores: Callable[[], Stores], tmp_path: Path, settings: dict[str, Any]
) -> None:
    """The proxy runs on this machine, and the whole world comes through it. What an earlier start has left is taken away."""
    (tmp_path / demo.FILE).write_text("Demo-1-left-by-an-earlier-start")
    server = Server(new_stores().environment(tmp_path, **settings))
    try:
        server.wait()
        page = server.client.get("/docs")
        assert (page.status_code, "data-demo-password" in page.text) == (200, False)
        assert not (tmp_path / demo.FILE).exists()
        body = {"username": "demo-admin", "password": "Demo-1-left-by-an-earlier-start"}
        assert server.client.post("/v1/auth/login", json=body).status_code == 401
    finally:
        server.stop()


@pytest.mark.parametrize(
    ("host", "shown"),
    [("127.0.0.1:8000", True), ("localhost", True), ("[::1]:8000", True), ("rebind.example:8000", False),
     ("localhost.evil.example", False), ("127.0.0.1.evil.example", False)],
)  # fmt: skip
def test_the_demo_password_is_shown_to_this_machine_alone(new_app: Callable[..., Flask], host: str, shown: bool) -> None:
    """A site whose name leads to 127.0.0.1 could read the page in the visitor's browser."""
    app = new_app()
    secret = demo.make_password(app.config["SETTINGS"])
    answer = app.test_client().get("/docs", headers={"Host": host})
    assert (answer.status_code, secret in answer.text) == (200, shown)


# Hashing


def test_a_queue_that_is_full_turns_away_at_once(new_app: Callable[..., Flask]) -> None:
    """Whoever waits holds a thread; when all of them wait, nobody is served at all. Here a wait would last for an hour."""
    app = new_app(argon2_concurrency=1)
    person = Bearer(app).join()
    with app.app_context():
        hasher = passwords.hasher()
    waiting = [Bearer(app, person.name) for _ in range(passwords.QUEUE_LENGTH)]
    with ThreadPoolExecutor(len(waiting)) as pool:
        with every_slot_taken(hasher, patience=3600.0):
            answers = [pool.submit(each.login) for each in waiting]
            eventually(lambda: not hasher.has_room)
            for answer in (Bearer(app, person.name).login(), Bearer(app).register()):
                assert (answer.status_code, answer.json["type"]) == (503, "/problems/service-unavailable")
                assert int(answer.headers["Retry-After"]) >= 1
            assert person.get(ME).status_code == 200
        assert {each.result().status_code for each in answers} == {200}
    assert person.login().status_code == 200


def test_whoever_is_turned_away_gives_the_place_back(new_app: Callable[..., Flask]) -> None:
    """A place that leaked would make the queue shorter for ever."""
    app = new_app(argon2_concurrency=1)
    person = Bearer(app).join()
    with app.app_context():
        hasher = passwords.hasher()
    with every_slot_taken(hasher, patience=0.01):
        assert [Bearer(app, person.name).login().status_code for _ in range(passwords.QUEUE_LENGTH * 2)] == [503] * 16
    assert [person.login().status_code for _ in range(passwords.QUEUE_LENGTH * 2)] == [200] * 16


def test_first_sign_ins_with_an_outdated_hash_at_the_same_moment_all_succeed(new_app: Callable[..., Flask]) -> None:
    """Each of them replaces the hash; those that come second look again. A wrong password gains nothing by that."""
    app = new_app(argon2_concurrency=12)
    for _ in range(4):
        person = Bearer(app)
        with app.app_context():
            outdated = generate_password_hash(PASSWORD, "pbkdf2:sha256:1000")
            users.create(username=person.name, password_hash=outdated, email=None, display_name=None)
        right, wrong = [Bearer(app, person.name) for _ in range(6)], [Bearer(app, person.name) for _ in range(2)]
        for each in wrong:
            each.password = "Wrong-Horse-77"
        answers = simultaneously(*[each.login for each in (*right, *wrong)])
        assert [each.status_code for each in answers] == [200] * 6 + [401] * 2
        assert {each.get(ME).status_code for each in right} == {200}


# What is written where others read


def test_no_value_of_a_statement_that_fails_is_told(app: Flask) -> None:
    """Parameters are tokens and hashes, and the message of the error goes to the log."""
    with app.app_context():
        for engine in db.engines.values():
            with pytest.raises(DBAPIError) as raised, engine.begin() as connection:
                connection.execute(text("INSERT INTO no_such_table VALUES (:secret)"), {"secret": "sesame"})
            assert "no_such_table" in str(raised.value)
            assert "sesame" not in str(raised.value)


def test_a_sign_in_that_crashes_logs_no_secret(new_app: Callable[..., Flask], caplog: pytest.LogCaptureFixture) -> None:
    app = new_app()
    app.config["PROPAGATE_CRASHES"] = False
    person = Bearer(app).join()
    with app.app_context(), transaction() as database:
        database.execute(text("ALTER TABLE sessions RENAME COLUMN csrf_token TO something_else"))
    with caplog.at_level(logging.DEBUG):
        answer = person.client.post("/v1/auth/login", json={"username": person.name, "password": PASSWORD})
    assert answer.status_code in {500, 503}
    assert caplog.records
    assert "hidden" in caplog.text or "unavailable" in caplog.text
    assert PASSWORD not in caplog.text
    assert "$argon2" not in caplog.text
    assert "'csrf_token':" not in caplog.text


# The clock


@pytest.mark.parametrize(("grace", "ahead"), [(0, 0.2), (0, 5), (10, 50)])
def test_a_clock_that_is_ahead_makes_no_endless_window(new_app: Callable[..., Flask], clock, grace: int, ahead: float) -> None:
    """One process rotates with a clock that is ahead; the parent comes back to another one, whose clock is right."""
    user = Bearer(new_app(refresh_grace=grace)).join()
    spent = user.refresh_token
    clock.shift(ahead + 1)
    assert user.refresh().status_code == 200
    clock.shift(-ahead)
    answer = user.request("POST", "/v1/auth/refresh", token=spent)
    assert answer.json["type"] == "/problems/refresh-token-reused"
    assert user.get(ME).status_code == 401


def test_a_clock_that_is_a_little_ahead_logs_nobody_out(new_app: Callable[..., Flask], clock) -> None:
    user = Bearer(new_app(refresh_grace=10)).join()
    spent = user.refresh_token
    clock.shift(2)
    assert user.refresh().status_code == 200
    clock.shift(-1)
    answer = user.request("POST", "/v1/auth/refresh", token=spent)
    assert (answer.status_code, answer.json["refresh_token"]) == (200, user.refresh_token)


# The mirror


@pytest.fixture(scope="module")
def mirrored(new_app: Callable[..., Flask], new_stores: Callable[[], Stores], redis_url: str) -> Flask:
    """Both databases with Redis."""
    return new_app(stores=replace(new_stores(), redis_url=redis_url))


@pytest.fixture
def mirror(mirrored: Flask, redis_url: str) -> Iterator[redis.Redis]:
    """What another service reads. The pause after a failure of an earlier test is over."""
    with mirrored.app_context():
        assert revocation.mirror().heal()
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        yield client


def test_an_epoch_that_was_read_earlier_replaces_no_greater_one(
    mirrored: Flask, mirror: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a token between the two would be alive again for everybody who reads the mirror."""
    user = Bearer(mirrored).join()
    user_id, key = uuid.UUID(user.id), f"{MIRRORED}sub:{user.id}"
    real, read, go_on = dead_tokens.fetch_all, threading.Event(), threading.Event()

    def slowly(*arguments: Any) -> Any:
        rows = real(*arguments)
        if threading.current_thread().name == "first":
            read.set()
            assert go_on.wait(30)
        return rows

    def give(*roles: str) -> None:
        with mirrored.app_context():
            administration.set_roles(user_id, roles)

    monkeypatch.setattr(dead_tokens, "fetch_all", slowly)
    first = threading.Thread(target=give, args=("user", "editor"), name="first")
    first.start()
    assert read.wait(30)
    user.login()
    give("user")
    assert mirror.get(key) == "2"
    go_on.set()
    first.join(30)
    assert claims(user.access_token)["epoch"] == 1
    assert mirror.get(key) == "2"
    assert user.get(ME).status_code == 401


def test_a_greater_epoch_replaces_a_smaller_one(mirrored: Flask, mirror: redis.Redis) -> None:
    """The opposite: nothing sticks."""
    user = Bearer(mirrored).join()
    user_id = uuid.UUID(user.id)
    for number in range(1, 12):
        with mirrored.app_context():
            administration.set_roles(user_id, {"user"} if number % 2 == 0 else {"user", "editor"})
        assert mirror.get(f"{MIRRORED}sub:{user_id}") == str(number)


def lose_the_answer(monkeypatch: pytest.MonkeyPatch, *, committed: bool) -> None:
    """The connection breaks at the next COMMIT: after it was done, or before."""
    lost = []

    def losing(real: Callable[..., Any]) -> Callable[..., Any]:
        def once(*arguments: Any) -> Any:
            if lost:
                return real(*arguments)
            lost.append(True)
            if committed:
                real(*arguments)
            raise OperationalError("COMMIT", {}, Exception("the connection is gone"))

        return once

    monkeypatch.setattr(Database, "commit", losing(Database.commit))
    monkeypatch.setattr(Change, "apply", losing(Change.apply))  # on PostgreSQL one statement, which commits by itself


def test_a_logout_whose_commit_nobody_heard_of_is_mirrored(
    mirrored: Flask, mirror: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client tries again and hears that it is signed out; so must everybody else."""
    user = Bearer(mirrored).join()
    key = f"{MIRRORED}sid:{claims(user.access_token)['sid']}"
    lose_the_answer(monkeypatch, committed=True)
    assert user.logout().status_code == 503
    assert user.logout().status_code == 204
    assert user.get(ME).status_code == 401
    assert mirror.exists(key)


def test_a_logout_that_was_not_committed_is_not_mirrored(
    mirrored: Flask, mirror: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other services would refuse a session that goes on here."""
    user = Bearer(mirrored).join()
    key = f"{MIRRORED}sid:{claims(user.access_token)['sid']}"
    lose_the_answer(monkeypatch, committed=False)
    assert user.logout().status_code == 503
    assert user.get(ME).status_code == 200
    assert not mirror.exists(key)
    assert user.logout().status_code == 204
    assert mirror.exists(key)


def test_new_roles_whose_commit_nobody_heard_of_are_mirrored(
    mirrored: Flask, mirror: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = Bearer(mirrored).join()
    user_id = uuid.UUID(user.id)
    lose_the_answer(monkeypatch, committed=True)
    with mirrored.app_context(), pytest.raises(OperationalError):
        administration.set_roles(user_id, {"user", "editor"})
    assert mirror.get(f"{MIRRORED}sub:{user_id}") == "1"
    assert user.get(ME).status_code == 401
