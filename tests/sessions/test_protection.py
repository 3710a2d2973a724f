"""Guessing passwords: what it costs the guesser, and what it must not cost the owner.

Flask-Limiter has so much room here that every 429 comes from the protection.
"""

import random
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select
from werkzeug.test import TestResponse

from api.cli import purge
from api.database import fetch_all
from api.sessions import protection
from api.sessions.models import SignInFailures
from tests.actors import Bearer, new_name
from tests.mailbox import Mailbox, join_with, new_address
from tests.processes.servers import simultaneously

LOGIN, WRONG = "/v1/auth/login", "Wrong-Horse-77"
FREE, LONGEST, FREE_ANYWHERE = 5, 900, 100
DAY = 86_400
ROOM = {f"ratelimit_{name}": "1000000/minute" for name in ("login_account", "login_address", "register", "mail", "general")}


@pytest.fixture(scope="module")
def app(new_app: Callable[..., Flask]) -> Flask:
    return new_app(ratelimit_enabled=True, **ROOM)


def new_network() -> str:
    """An IPv4 address in a /24 that is unlikely to be anybody else's."""
    return f"{random.randint(11, 99)}.{random.randint(0, 255)}.{random.randint(0, 255)}.7"


def at(app: Flask, address: str | None = None, name: str | None = None) -> Bearer:
    person = Bearer(app, name)
    person.client.environ_base["REMOTE_ADDR"] = address or new_network()
    return person


def attempt(person: Bearer, password: str = WRONG, name: str | None = None) -> TestResponse:
    return person.request("POST", LOGIN, json={"username": name or person.name, "password": password})


def fail(person: Bearer, times: int, name: str | None = None) -> None:
    """Fail so often that each failure counts."""
    for _ in range(times):
        assert attempt(person, name=name).status_code == 401


def insist(person: Bearer, clock: Any, times: int) -> None:
    """Fail so often, and wait whenever that is demanded."""
    for _ in range(times):
        answer = attempt(person)
        if answer.status_code == 429:
            clock.shift(retry_after(answer))
            answer = attempt(person)
        assert answer.status_code == 401


def retry_after(answer: TestResponse) -> int:
    assert (answer.status_code, answer.json["type"]) == (429, "/problems/too-many-requests")
    return int(answer.headers["Retry-After"])


def counts(app: Flask, account: str) -> dict[str, int]:
    with app.app_context():
        found = select(SignInFailures.network, SignInFailures.failures).where(SignInFailures.account == account)
        return {row.network: row.failures for row in fetch_all(found)}


def key_of(person: Bearer) -> str:
    """Under which the failures of an unknown name are counted."""
    return protection.account_key(person.name, None)


def besiege(app: Flask, name: str, failures: int = FREE_ANYWHERE) -> None:
    """Let strangers fail from many networks, none of which is delayed itself."""
    for _ in range(failures // 4):
        fail(at(app, name=name), 4)


def test_five_failures_are_free_and_then_the_delay_doubles(app: Flask, clock) -> None:
    """Up to a quarter of an hour; the moment it is over, the next try is heard."""
    owner = at(app).join()
    guesser = at(app, name=owner.name)
    fail(guesser, FREE)
    for delay in (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, LONGEST, LONGEST):
        assert delay <= retry_after(attempt(guesser)) <= delay + 1
        clock.shift(delay - 0.01)
        assert retry_after(attempt(guesser)) == 1
        clock.shift(0.01)
        fail(guesser, 1)


def test_whoever_waits_as_long_as_told_is_heard(app: Flask, clock) -> None:
    guesser = at(app)
    insist(guesser, clock, FREE + 3)
    clock.shift(retry_after(attempt(guesser)))
    assert attempt(guesser).status_code == 401


def test_a_try_within_the_delay_costs_nothing_more(app: Flask, clock) -> None:
    """Else an impatient client would never come in again."""
    guesser = at(app)
    insist(guesser, clock, FREE + 3)
    for _ in range(20):
        assert retry_after(attempt(guesser)) <= 9
    clock.shift(8)
    fail(guesser, 1)
    assert counts(app, key_of(guesser))[protection.ANYWHERE] == FREE + 4


def test_the_right_password_is_refused_within_the_delay_too(app: Flask, clock) -> None:
    """Or the delay would tell the guesser which guess was right."""
    owner = at(app).join()
    guesser = at(app, name=owner.name)
    fail(guesser, FREE)
    right, wrong = attempt(guesser, owner.password), attempt(guesser)
    assert right.status_code == wrong.status_code == 429
    assert {**right.json, "request_id": ""} == {**wrong.json, "request_id": ""}
    clock.shift(1)
    assert attempt(guesser, owner.password).status_code == 200


def test_a_success_forgets_the_failures(app: Flask, clock) -> None:
    owner = at(app).join()
    for _ in range(3):
        fail(owner, FREE - 1)
        assert owner.login().status_code == 200
    fail(owner, FREE)
    clock.shift(1)
    assert owner.login().status_code == 200
    fail(owner, FREE)
    assert retry_after(attempt(owner)) <= 2


def test_a_success_elsewhere_does_not_help_the_guesser(app: Flask, clock) -> None:
    owner = at(app).join()
    guesser = at(app, name=owner.name)
    insist(guesser, clock, FREE + 4)
    assert owner.login().status_code == 200
    assert retry_after(attempt(guesser)) >= 16


def test_failures_are_forgotten_after_a_day_without_one(app: Flask, clock) -> None:
    guesser = at(app)
    fail(guesser, FREE)
    clock.shift(DAY - 1)
    fail(guesser, 1)
    clock.shift(DAY)
    fail(guesser, 1)
    assert retry_after(attempt(guesser)) >= 4
    clock.shift(DAY + 0.001)
    fail(guesser, FREE)
    assert retry_after(attempt(guesser)) <= 2


def test_forgotten_failures_are_purged(app: Flask, clock) -> None:
    old, new = at(app), at(app)
    fail(old, 1)
    clock.shift(DAY + 1)
    fail(new, 1)
    assert app.test_cli_runner().invoke(purge).exit_code == 0
    assert counts(app, key_of(old)) == {}
    assert counts(app, key_of(new)) != {}


@pytest.mark.parametrize(
    ("first", "neighbour", "stranger"),
    [
        ("198.51.{}.7", "198.51.{}.250", "198.52.{}.7"),
        ("2001:db8:0:{}::1", "2001:db8:0:{}:ffff:ffff:ffff:ffff", "2001:db8:1:{}::1"),
        ("::ffff:203.0.{}.7", "203.0.{}.8", "203.1.{}.7"),
    ],
    ids=["IPv4 /24", "IPv6 /64", "IPv4 in IPv6"],
)
def test_a_network_counts_as_one(app: Flask, clock, first: str, neighbour: str, stranger: str) -> None:
    """One customer has many addresses."""
    number, name = random.randint(1, 255), new_name()
    fail(at(app, first.format(number), name), FREE)
    assert retry_after(attempt(at(app, neighbour.format(number), name))) <= 2
    assert attempt(at(app, stranger.format(number), name)).status_code == 401


@pytest.mark.parametrize("address", ["unknown", "", "fe80::1%eth0"])
def test_an_address_that_is_none_is_a_network_too(app: Flask, clock, address: str) -> None:
    guesser = Bearer(app)
    guesser.client.environ_base["REMOTE_ADDR"] = address
    fail(guesser, FREE)
    assert retry_after(attempt(guesser)) <= 2


def test_other_accounts_are_not_delayed(app: Flask, clock) -> None:
    """From the network of the guesser too: others sit behind the same address."""
    owner = at(app, network := new_network()).join()
    insist(at(app, network), clock, FREE + 2)
    assert owner.login().status_code == 200


def test_unknown_names_behave_exactly_alike(app: Flask, clock) -> None:
    """Status, headers and body, before, in and after the delay; in any spelling of the name."""
    owner, nobody = at(app).join(), new_name()
    known_at, unknown_at = at(app, name=owner.name), at(app, name=nobody)

    def seen(person: Bearer, number: int) -> Any:
        name = person.name.upper() if number % 2 else person.name
        answer = attempt(person, name=name)
        # How much room Flask-Limiter has left for an address is nobody's secret.
        headers = {k: v for k, v in answer.headers.items() if k not in {"X-Request-ID", "RateLimit"}}
        return answer.status_code, headers, {**answer.json, "request_id": ""}

    statuses = []
    # The seconds that both of them wait after each try: within the delay, and until it is over.
    for number, pause in enumerate([0, 0, 0, 0, 0, 0.5, 0.5, 0, 2, 1, 3, 8]):
        known, unknown = seen(known_at, number), seen(unknown_at, number)
        assert known == unknown
        statuses.append(known[0])
        clock.shift(pause)
    assert statuses == [401] * 5 + [429, 429, 401, 429, 401, 429, 401]


def test_a_suspended_account_behaves_alike(app: Flask, clock) -> None:
    admin, person = at(app).join(roles=["admin"]), at(app).join()
    change = {"json": {"suspension": {}}, "headers": {"If-Match": "*"}}
    assert admin.patch(f"/v1/admin/users/{person.id}", **change).status_code == 200
    guesser = at(app, name=person.name)
    fail(guesser, FREE)
    assert retry_after(attempt(guesser, person.password)) <= 2


def test_the_name_and_the_address_are_one_account(app: Flask, clock) -> None:
    """Else a guesser would have twice as many tries."""
    address = new_address()
    owner = join_with(Mailbox(app), address)
    guesser = at(app)
    fail(guesser, 3, owner.name)
    fail(guesser, 2, address.upper())
    for name in (owner.name, owner.name.upper(), address):
        assert retry_after(attempt(guesser, name=name)) <= 2


def test_a_failure_counts_although_the_answer_is_an_error(app: Flask, clock) -> None:
    guesser = at(app)
    fail(guesser, 3)
    assert counts(app, key_of(guesser)) == {protection.ANYWHERE: 3, protection.network(guesser_address(guesser)): 3}


def guesser_address(person: Bearer) -> str:
    return str(person.client.environ_base["REMOTE_ADDR"])


def test_neither_names_nor_passwords_are_kept(app: Flask, clock) -> None:
    """People type their password into the field of the name."""
    guesser = at(app, name="Sesame-Open-42")
    fail(guesser, 1)
    with app.app_context():
        kept = [str(value).casefold() for row in fetch_all(select(SignInFailures.__table__)) for value in row]
    assert key_of(guesser) in kept
    assert not any("sesame" in value or WRONG.casefold() in value for value in kept)


def test_simultaneous_failures_are_all_counted(app: Flask) -> None:
    """Before any of them is answered none is delayed; after, all of them are."""
    for _ in range(3):
        name, network = new_name(), new_network()
        guessers = [at(app, network, name) for _ in range(12)]
        answers = simultaneously(*[lambda one=one: attempt(one) for one in guessers])
        refused = [each for each in answers if each.status_code == 429]
        assert {each.status_code for each in answers} <= {401, 429}
        found = counts(app, protection.account_key(name, None))
        assert set(found.values()) == {len(answers) - len(refused)}
        assert len(found) == 2


def test_simultaneous_failures_delay_like_others(app: Flask, clock) -> None:
    owner, network = at(app).join(), new_network()
    guessers = [at(app, network, owner.name) for _ in range(FREE + 3)]
    answers = simultaneously(*[lambda one=one: attempt(one) for one in guessers])
    heard = [each.status_code for each in answers].count(401)
    assert heard >= FREE
    assert retry_after(attempt(guessers[0], owner.password)) >= 2 ** (heard - FREE)


def test_what_happened_is_in_the_owners_log(app: Flask, clock) -> None:
    """Each failure, and once that the delays have begun."""
    owner = at(app).join()
    guesser = at(app, name=owner.name)
    for _ in range(FREE + 2):
        clock.shift(10)
        fail(guesser, 1)
    items = owner.get("/v1/users/me/events", query_string={"limit": 100}).json["items"]
    told = [each for each in items if each["type"].startswith("sign_in_")]
    assert sorted(each["type"] for each in told) == ["sign_in_delayed"] + ["sign_in_failed"] * (FREE + 2)
    assert {each["ip_address"] for each in told} == {guesser_address(guesser)}
    assert {each["actor_id"] for each in told} == {None}


def test_a_hundred_failures_from_anywhere_delay_strange_networks(app: Flask, clock) -> None:
    """A guesser with many networks is slowed down to one try a minute."""
    owner = at(app).join()
    besiege(app, owner.name, FREE_ANYWHERE - 4)
    stranger = at(app, name=owner.name)
    fail(stranger, 3)
    fail(at(app, name=owner.name), 1)
    for newcomer in (at(app, name=owner.name), at(app, name=owner.name)):
        assert 60 <= retry_after(attempt(newcomer)) <= 61
        assert retry_after(attempt(newcomer, owner.password)) <= 61
    clock.shift(60)
    newcomer = at(app, name=owner.name)
    fail(newcomer, 1)
    assert retry_after(attempt(at(app, name=owner.name))) >= 60
    clock.shift(60)
    assert attempt(newcomer, owner.password).status_code == 200


def test_a_siege_is_forgotten_after_an_hour(app: Flask, clock) -> None:
    name = new_name()
    besiege(app, name)
    clock.shift(3601)
    fail(at(app, name=name), 1)
    assert attempt(at(app, name=name)).status_code == 401


def test_the_owner_comes_in_from_where_they_have_been_before(app: Flask, clock) -> None:
    """A stranger cannot hold a lock against them, from however many networks, for however long."""
    owner = at(app, home := new_network()).join()
    besiege(app, owner.name)
    for _ in range(5):
        assert retry_after(attempt(at(app, name=owner.name))) >= 60
        assert owner.login().status_code == 200
        neighbour = at(app, home.removesuffix(".7") + ".8", owner.name)
        assert neighbour.login().status_code == 200
        clock.shift(60)
        fail(at(app, name=owner.name), 1)


def test_where_somebody_else_has_signed_in_is_a_strange_network(app: Flask, clock) -> None:
    owner, other = at(app).join(), at(app).join()
    besiege(app, owner.name)
    assert retry_after(attempt(other, owner.password, owner.name)) >= 60


def test_a_siege_looks_the_same_for_a_name_that_nobody_has(app: Flask, clock) -> None:
    besiege(app, name := new_name())
    assert 60 <= retry_after(attempt(at(app, name=name))) <= 61


@pytest.mark.parametrize("besieged", [False, True], ids=["own failures", "siege"])
def test_resetting_the_password_forgives_everything(app: Flask, clock, besieged: bool) -> None:
    """The way in for an owner on a strange network: they have proven who they are by other means."""
    mailbox, address = Mailbox(app), new_address()
    owner = join_with(mailbox, address)
    abroad = at(app, name=owner.name)
    if besieged:
        besiege(app, owner.name)
    else:
        insist(abroad, clock, FREE + 5)
    assert retry_after(attempt(abroad, owner.password)) > 2
    assert abroad.request("POST", "/v1/auth/password/forgot", json={"email": address}).status_code == 202
    body = {"token": mailbox.token(address), "new_password": "Battery-Staple-8"}
    assert abroad.request("POST", "/v1/auth/password/reset", json=body).status_code == 204
    assert attempt(abroad, "Battery-Staple-8").status_code == 200


def test_without_rate_limits_nobody_is_delayed(new_app: Callable[..., Flask]) -> None:
    """The setting that switches counting off means all of it."""
    owner = at(new_app(ratelimit_enabled=False)).join()
    fail(owner, FREE + 5)
    assert owner.login().status_code == 200


@pytest.mark.parametrize(
    ("where", "failures", "seconds"),
    [("net", 0, 0), ("net", 4, 0), ("net", 5, 1), ("net", 6, 2), ("net", 14, 512), ("net", 15, 900), ("net", 10**9, 900),
     ("*", 99, 0), ("*", 100, 60), ("*", 10**9, 60)],
)  # fmt: skip
def test_the_delay_is_bounded(where: str, failures: int, seconds: int) -> None:
    assert protection.delay(where, failures).total_seconds() == seconds
