"""Which passwords are accepted, what is kept of them, and how many are checked at once."""

import os
import sys
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from api.config import Settings
from api.users import passwords
from api.users.policy import CLASSIC
from tests.actors import Bearer
from tests.sessions.test_one_statement import statements
from tests.slots import every_slot_taken

# As long as may be, and no repetition.
LONGEST = ("Nine zebras paint 4 lamps by the river. " * 4)[:128]


@pytest.fixture(scope="module")
def nist_app(new_app) -> Flask:
    return new_app(password_policy="nist")


def register(app: Flask, password: str, name: str | None = None) -> TestResponse:
    person = Bearer(app, name)
    return person.request("POST", "/v1/auth/register", json={"username": person.name, "password": password})


def login(app: Flask, name: str, password: str) -> int:
    body = {"username": name, "password": password}
    return Bearer(app).request("POST", "/v1/auth/login", json=body).status_code


def pointers(answer: TestResponse) -> tuple[int, list[str]]:
    return answer.status_code, [fault["pointer"] for fault in answer.json["errors"]]


@pytest.mark.parametrize(
    "password", ["Zebra-Lam1", "1zebra-laM", "Correct-Horse-7", LONGEST, "7 Words With Spaces", " Leading 1 trailing "]
)
def test_classic_accepts_ten_characters_with_an_upper_case_letter_and_a_digit(app: Flask, password: str) -> None:
    answer = register(app, password)
    assert answer.status_code == 201
    assert login(app, answer.json["username"], password) == 200


@pytest.mark.parametrize("password", ["", "Abcdefgh1", "abcdefghi1", "Abcdefghij", "1234567891", LONGEST + "x", "🦊" * 9])
def test_classic_refuses_less_and_more(app: Flask, password: str) -> None:
    status, faults = pointers(register(app, password))
    assert status == 422
    assert set(faults) == {"/password"}


@pytest.mark.parametrize("password", ["a horse, of course", LONGEST, "seventeen bananas", "2741-8035-9162-7"])
def test_nist_asks_for_fifteen_characters_and_no_composition(nist_app: Flask, password: str) -> None:
    assert register(nist_app, password).status_code == 201


@pytest.mark.parametrize("password", ["Correct-Horse-", LONGEST + "x"])
def test_nist_refuses_less_and_more(nist_app: Flask, password: str) -> None:
    status, faults = pointers(register(nist_app, password))
    assert status == 422
    assert set(faults) == {"/password"}


@pytest.mark.parametrize(
    "password",
    [
        "A1-Пароль-длинный",
        "A1-Συνθηματικό-μου",
        "A1-Ծածկագիր-երկար",
        "A1-كلمة-المرور-طويلة",
        "A1-סיסמה-ארוכה-מאוד",
        "A1-密码很长很长很长的",
        "A1-パスワードは長い",
        "A1-비밀번호가길어요요",
        "A1-पासवर्ड-बहुत-लंबा",
        "A1-รหัสผ่านที่ยาวมาก",
        "A1-Ångström-länge",
        "Straße-GROSS-1",
        "A1-🦊🐻🐼🐨🐯🦁🐮🐷",
        "A1-re\u0301sume\u0301-cafe\u0301",
        "A1-\u202ezebralamp",
        "A1\ttab\tand\nlines",
    ],
)
def test_a_password_may_be_in_any_script(app: Flask, password: str) -> None:
    answer = register(app, password)
    assert answer.status_code == 201
    assert login(app, answer.json["username"], password) == 200
    assert login(app, answer.json["username"], password[:-1]) == 401


def test_the_rule_of_classic_is_short_enough_to_read() -> None:
    """A-Z and 0-9, as the tutorials have it; other alphabets are for `nist`."""
    assert CLASSIC.pattern == r"[A-Z][\s\S]*[0-9]|[0-9][\s\S]*[A-Z]"


@pytest.mark.parametrize("mark", ["x", "é", "密", "🦊"], ids=["1 byte", "2 bytes", "3 bytes", "4 bytes"])
def test_nothing_is_truncated(app: Flask, mark: str) -> None:
    """Two passwords of 128 characters that differ in the last one are two passwords."""
    start = "Zebra-Lamp-1" + mark * 115
    answer = register(app, start + "y")
    assert answer.status_code == 201
    assert login(app, answer.json["username"], start + "y") == 200
    assert login(app, answer.json["username"], start + "z") == 401


def test_a_nul_does_not_end_a_password(app: Flask) -> None:
    """C strings end at NUL; a password that does would let in everybody who knows its beginning."""
    answer = register(app, "Zebra-Lamp-1\u0000right")
    assert answer.status_code == 201
    assert login(app, answer.json["username"], "Zebra-Lamp-1\u0000right") == 200
    assert login(app, answer.json["username"], "Zebra-Lamp-1\u0000wrong") == 401


def test_case_counts_in_a_password(user: Bearer, app: Flask) -> None:
    assert login(app, user.name, user.password.swapcase()) == 401


def test_a_sign_in_that_finds_no_free_slot_is_turned_away(new_app) -> None:
    """Past the bound the answer says when to come back, and the machine stays alive."""
    app = new_app(argon2_concurrency=1)
    person = Bearer(app).join()
    with app.app_context():
        hasher = passwords.hasher()
    with every_slot_taken(hasher, patience=0.05):
        for answer in (person.login(), Bearer(app).login(), Bearer(app).register()):
            assert (answer.status_code, answer.json["type"]) == (503, "/problems/service-unavailable")
            assert int(answer.headers["Retry-After"]) >= 1
        assert person.get("/v1/users/me").status_code == 200
    assert person.login().status_code == 200


def test_a_signed_in_person_is_turned_away_too_when_no_slot_is_free(new_app) -> None:
    app = new_app(argon2_concurrency=1)
    person = Bearer(app).join()
    body = {"current_password": person.password, "new_password": "Battery-Staple-8"}
    with app.app_context():
        hasher = passwords.hasher()
    with every_slot_taken(hasher, patience=0.05):
        assert person.post("/v1/auth/reauthenticate", json={"password": person.password}).status_code == 503
        assert person.put("/v1/users/me/password", json=body).status_code == 503
    assert person.put("/v1/users/me/password", json=body).status_code == 200


def test_a_flood_is_turned_away_before_anything_is_asked_for_it(new_app, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever comes when nobody can wait costs no statement: the others need the database."""
    monkeypatch.setattr(passwords, "QUEUE_LENGTH", 0)
    app = new_app(argon2_concurrency=1)
    person = Bearer(app).join()
    with app.app_context():
        hasher = passwords.hasher()
    with every_slot_taken(hasher), statements(app) as seen:
        assert person.login().status_code == 503
    assert seen == []


def test_what_is_compared_for_nobody_takes_the_work_of_a_hash_of_today(new_app) -> None:
    """It is no hash of anything, and is not outdated either, whatever the parameters."""
    app = new_app(argon2_time_cost=2, argon2_memory_cost=64, argon2_parallelism=2)
    with app.app_context():
        hasher = passwords.hasher()
        assert hasher._nobody.startswith("$argon2id$v=19$m=64,t=2,p=2$")
        assert not hasher.is_outdated(hasher._nobody)
        assert not hasher.verify("", None)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux knows the priority of a single thread")
def test_hashing_gives_way_to_everything_else(app: Flask) -> None:
    with app.app_context():
        mine, theirs = os.getpriority(os.PRIO_PROCESS, 0), passwords.hasher()._in_turn(lambda: os.getpriority(os.PRIO_PROCESS, 0))
    assert theirs > mine


@pytest.mark.parametrize(
    ("chosen", "parameters"),
    [
        ({}, (3, 65_536, 4)),
        ({"argon2_profile": "owasp"}, (2, 19_456, 1)),
        ({"argon2_profile": "owasp", "argon2_time_cost": 3}, (3, 19_456, 1)),
    ],
)
def test_a_profile_sets_what_is_not_set_apart(chosen: dict[str, Any], parameters: tuple[int, int, int]) -> None:
    assert Settings(**chosen).argon2 == parameters
