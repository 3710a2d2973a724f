"""Guessing secrets: what it costs the guesser, and what it must not cost the owner.

Flask-Limiter has so much room here that every 429 comes from the throttle.
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
from api.http.device import network_of
from api.sessions import throttle
from api.sessions.models import SignInFailures
from api.users import hasher
from tests.actors import Bearer, new_name
from tests.mailbox import Mailbox, join_with, new_address
from tests.processes.servers import simultaneously
from tests.slots import every_slot_taken

LOGIN, WRONG = "/v1/auth/login", "Wrong-Horse-77"
FREE, LONGEST, FREE_ANYWHERE = 5, 3600, 100
DAY = 86_400
ROOM = {
    f"ratelimit_{name}": "1000000/minute"
    for name in ("login_account", "login_address", "password", "register", "mail", "general")
}


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
    """Under which the failures of a name are counted."""
    return throttle.key_of(person.name)


def besiege(app: Flask, name: str, failures: int = FREE_ANYWHERE) -> None:
    """Let strangers fail from many networks, none of which is delayed itself."""
    for _ in range(failures // 4):
        fail(at(app, name=name), 4)


def test_five_failures_are_free_and_then_the_delay_doubles(app: Flask, clock) -> None:
    """Up to an hour; the moment it is over, the next try is judged."""
    owner = at(app).join()
    guesser = at(app, name=owner.name)
    fail(guesser, FREE)
    for delay in (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, LONGEST, LONGEST):
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
    assert counts(app, key_of(guesser))[throttle.ANYWHERE] == FREE + 4


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


def test_a_guess_at_the_name_says_nothing_about_the_address(app: Flask, clock) -> None:
    """Pauses are counted for what was typed: else a secret address would answer as the name does, and tell whose it is."""
    address = new_address()
    owner = join_with(Mailbox(app), address)
    guesser = at(app)
    fail(guesser, FREE, owner.name)
    assert retry_after(attempt(guesser, name=owner.name.upper())) <= 2
    for name in (address, new_address()):
        fail(guesser, FREE, name)
        assert retry_after(attempt(guesser, name=name)) <= 2


def test_a_failure_counts_although_the_answer_is_an_error(app: Flask, clock) -> None:
    guesser = at(app)
    fail(guesser, 3)
    assert counts(app, key_of(guesser)) == {throttle.ANYWHERE: 3, network_of(guesser_address(guesser), ipv4_prefix=24): 3}


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


def test_of_simultaneous_guesses_no_more_are_judged_than_are_due(app: Flask) -> None:
    """A guess is counted before it is judged, and one statement decides."""
    owner = at(app).join()
    for name in (owner.name, new_name()):
        network = new_network()
        guessers = [at(app, network, name) for _ in range(24)]
        answers = simultaneously(*[lambda one=one: attempt(one) for one in guessers])
        assert sorted(each.status_code for each in answers) == [401] * FREE + [429] * 19
        assert counts(app, throttle.key_of(name))[network_of(network, ipv4_prefix=24)] == FREE


def test_of_simultaneous_guesses_where_one_is_due_one_is_judged(app: Flask, clock) -> None:
    owner = at(app).join()
    for _ in range(3):
        network = new_network()
        fail(at(app, network, owner.name), FREE)
        clock.shift(1)
        guessers = [at(app, network, owner.name) for _ in range(24)]
        answers = simultaneously(*[lambda one=one: attempt(one) for one in guessers])
        assert sorted(each.status_code for each in answers) == [401] + [429] * 23


def test_a_right_password_takes_its_try_back(app: Flask) -> None:
    """Signing in often, and with a proven address, fills no counter."""
    address = new_address()
    owner = join_with(Mailbox(app), address)
    owner.client.environ_base["REMOTE_ADDR"] = new_network()
    for number in range(12):
        assert attempt(owner, owner.password, address if number % 2 else owner.name).status_code == 200
    assert counts(app, throttle.key_of(owner.name)) == counts(app, throttle.key_of(address)) == {}
    assert set(counts(app, owner.id).values()) <= {0}


REAUTHENTICATE, PASSWORD = "/v1/auth/reauthenticate", "/v1/users/me/password"


@pytest.mark.parametrize("door", [REAUTHENTICATE, PASSWORD])
def test_the_same_throttle_stands_before_every_password(app: Flask, clock, door: str) -> None:
    """A thief with a session guesses no faster than a stranger; and what they try counts for signing in too."""
    owner = at(app).join()

    def guess(password: str) -> TestResponse:
        if door == REAUTHENTICATE:
            return owner.post(door, json={"password": password})
        return owner.put(door, json={"current_password": password, "new_password": "Battery-Staple-8"})

    for _ in range(FREE):
        assert guess(WRONG).status_code == 403
    assert retry_after(guess(owner.password)) <= 2
    assert retry_after(attempt(owner, owner.password)) <= 2
    clock.shift(1)
    assert guess(owner.password).status_code == 200


def test_guesses_of_mailed_tokens_are_slowed_down(app: Flask, clock) -> None:
    """Of all kinds together, by network; a right token is never counted."""
    guesser = at(app)
    paths = ("/v1/auth/email/verify", "/v1/auth/email/undo", "/v1/auth/mailed-token", "/v1/auth/password/reset")
    for number in range(20):
        path = paths[number % 4]
        more = {"new_password": "Battery-Staple-8"} if path.endswith("reset") else {}
        assert guesser.request("POST", path, json={"token": "x" * 43, **more}).status_code == 403
    for path in paths[:3]:
        assert retry_after(guesser.request("POST", path, json={"token": "x" * 43})) <= 2
    assert at(app).request("POST", paths[2], json={"token": "x" * 43}).status_code == 403
    clock.shift(1)
    assert guesser.request("POST", paths[2], json={"token": "x" * 43}).status_code == 403


def test_ipv6_counts_by_the_wide_network_too(app: Flask, clock) -> None:
    """A customer with a /48 has 65,536 networks of his own."""
    name, site = new_name(), random.randint(1, 65_535)
    for number in range(20):
        assert attempt(at(app, f"2001:db8:{site:x}:{number:x}::1", name)).status_code == 401
    assert retry_after(attempt(at(app, f"2001:db8:{site:x}:ff::1", name))) <= 2
    assert attempt(at(app, f"2001:db8:{(site + 1) % 65_536:x}:ff::1", name)).status_code == 401


def test_a_hash_that_could_not_be_made_is_no_failure(app: Flask) -> None:
    owner = at(app).join()
    with app.app_context():
        busy = hasher()
    with every_slot_taken(busy, patience=0.05):
        assert attempt(owner, owner.password).status_code == 503
    assert set(counts(app, throttle.key_of(owner.name)).values()) <= {0}
    assert set(counts(app, owner.id).values()) <= {0}


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


def test_a_hundred_failures_from_anywhere_close_new_networks_without_a_word(app: Flask, clock) -> None:
    """A guess beyond them is not judged: the right password is answered as a wrong one, in the same words."""
    owner = at(app).join()
    besiege(app, owner.name)
    right, wrong = attempt(at(app, name=owner.name), owner.password), attempt(at(app, name=owner.name))
    assert right.status_code == wrong.status_code == 401
    assert {**right.json, "request_id": ""} == {**wrong.json, "request_id": ""}
    clock.shift(60)
    assert attempt(at(app, name=owner.name), owner.password).status_code == 200  # one is due


def test_the_account_counts_under_all_its_names(app: Flask, clock) -> None:
    address = new_address()
    owner = join_with(Mailbox(app), address)
    besiege(app, owner.name, FREE_ANYWHERE // 2 + 2)
    besiege(app, address, FREE_ANYWHERE // 2 + 2)
    for name in (owner.name, address):
        assert attempt(at(app), owner.password, name).status_code == 401


def test_the_pause_of_an_account_grows_up_to_an_hour(app: Flask, clock) -> None:
    owner = at(app).join()
    besiege(app, owner.name)
    for pause in (60, 120, 240, 480, 960, 1920, 3600, 3600):
        clock.shift(pause - 1)
        assert attempt(at(app, name=owner.name), owner.password).status_code == 401
        clock.shift(1)
        assert attempt(at(app, name=owner.name)).status_code == 401  # judged, and wrong
    clock.shift(3600)
    assert attempt(at(app, name=owner.name), owner.password).status_code == 200


def test_a_siege_is_forgotten_after_a_day_without_a_failure(app: Flask, clock) -> None:
    owner = at(app).join()
    besiege(app, owner.name)
    clock.shift(DAY + 1)
    fail(at(app, name=owner.name), 1)
    assert attempt(at(app, name=owner.name), owner.password).status_code == 200


def test_the_owner_comes_in_from_where_they_have_been_before(app: Flask, clock) -> None:
    """A stranger cannot hold a lock against them, from however many networks, for however long."""
    owner = at(app, home := new_network()).join()
    besiege(app, owner.name)
    for _ in range(5):
        assert attempt(at(app, name=owner.name), owner.password).status_code == 401
        assert owner.login().status_code == 200
        neighbour = at(app, home.removesuffix(".7") + ".8", owner.name)
        assert neighbour.login().status_code == 200
        fail(at(app, name=owner.name), 1)


def test_a_refresh_makes_no_network_known(app: Flask, clock) -> None:
    """A thief who refreshes a stolen token elsewhere has not signed in there."""
    owner = at(app).join()
    thief = at(app, name=owner.name)
    thief.refresh_token = owner.refresh_token
    assert thief.refresh().status_code == 200
    besiege(app, owner.name)
    assert attempt(thief, owner.password).status_code == 401


def test_where_somebody_else_has_signed_in_is_a_new_network(app: Flask, clock) -> None:
    owner, other = at(app).join(), at(app).join()
    besiege(app, owner.name)
    assert attempt(other, owner.password, owner.name).status_code == 401


def test_a_siege_looks_the_same_for_a_name_that_nobody_has(app: Flask, clock) -> None:
    owner = at(app).join()
    answers = []
    for name in (owner.name, new_name()):
        besiege(app, name)
        answers.append(attempt(at(app, name=name), owner.password))
    known, unknown = ((each.status_code, {**each.json, "request_id": ""}) for each in answers)
    assert known == unknown


def test_the_owner_gets_a_mail_when_the_account_is_besieged(app: Flask, clock) -> None:
    """Once, so that somebody who is refused on a new device knows why, and what lets them in."""
    mailbox, address = Mailbox(app), new_address()
    owner = join_with(mailbox, address)
    besiege(app, owner.name, FREE_ANYWHERE + 8)
    assert mailbox.subjects(address).count("Many sign-ins to your account have failed") == 1


@pytest.mark.parametrize("besieged", [False, True], ids=["own failures", "siege"])
def test_resetting_the_password_forgives_everything(app: Flask, clock, besieged: bool) -> None:
    """The way in for an owner on a new network: they have proven who they are by other means."""
    mailbox, address = Mailbox(app), new_address()
    owner = join_with(mailbox, address)
    abroad = at(app, name=owner.name)
    if besieged:
        besiege(app, owner.name)
    else:
        insist(abroad, clock, FREE + 5)
    assert attempt(abroad, owner.password).status_code == (401 if besieged else 429)
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
    ("rule", "failures", "seconds"),
    [(throttle.NETWORK, 0, 0), (throttle.NETWORK, 4, 0), (throttle.NETWORK, 5, 1), (throttle.NETWORK, 6, 2),
     (throttle.NETWORK, 16, 2048), (throttle.NETWORK, 17, 3600), (throttle.NETWORK, 10**9, 3600),
     (throttle.ACCOUNT, 99, 0), (throttle.ACCOUNT, 100, 60), (throttle.ACCOUNT, 10**9, 3600)],
)  # fmt: skip
def test_the_pause_is_bounded(rule: throttle.Rule, failures: int, seconds: int) -> None:
    assert rule.after(failures).total_seconds() == seconds
