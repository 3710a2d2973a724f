"""Who has an account here: neither the answers nor the time they take tell.

Times are compared within one run, by a two-sample Kolmogorov-Smirnov test of calls in random order, so that a slow machine is
slow for both samples. That this test would notice is shown each time with the naive way to do the same.
"""

import gc
import itertools
import math
import random
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event
from werkzeug.test import TestResponse

from api import access, clock, users
from api.accounts import mail, password_reset, registration
from api.database import db, transaction
from api.outbox import OutgoingEmail
from api.outbox.senders import configured_sender
from api.users.passwords import Hasher
from tests.actors import PASSWORD, Bearer, new_name
from tests.mailbox import Mailbox, join_with, new_address

FORGOT, LOGIN, REGISTER = "/v1/auth/password/forgot", "/v1/auth/login", "/v1/auth/register"
SAMPLE, WARM_UP = 120, 10
# How improbable the difference of two samples must be if it is to count: far below what ever happens by chance.
TOLD_APART = 1e-4
# Seconds on a machine of its own; hundreds of calls, where others work too.
long = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def app(new_app: Callable[..., Flask]) -> Flask:
    """An outbox of our own."""
    return new_app()


@pytest.fixture(scope="module")
def hashing_app(new_app: Callable[..., Flask]) -> Flask:
    """A hash takes about as long as everything else in a request, so that its absence would be plain to see."""
    return new_app(argon2_memory_cost=16_384)


@pytest.fixture
def mailbox(app: Flask) -> Mailbox:
    return Mailbox(app)


def forgot(app: Flask, address: str) -> TestResponse:
    return Bearer(app).request("POST", FORGOT, json={"email": address})


@contextmanager
def statements(app: Flask) -> Iterator[list[str]]:
    """Collect what the database is asked while the block runs."""
    found: list[str] = []

    def remember(_conn: Any, _cursor: Any, statement: str, *_: Any) -> None:
        found.append(statement)

    with app.app_context():
        engines = list(db.engines.values())
    for engine in engines:
        event.listen(engine, "before_cursor_execute", remember)
    try:
        yield found
    finally:
        for engine in engines:
            event.remove(engine, "before_cursor_execute", remember)


def test_the_answer_is_the_same_after_the_same_statements(app: Flask, mailbox: Mailbox) -> None:
    """Known, in another spelling, claimed but not proven, suspended, deleted, unknown."""
    known, claimed, suspended, gone = (new_address() for _ in range(4))
    join_with(mailbox, known)
    join_with(mailbox, gone).delete("/v1/users/me")
    Bearer(app).join(email=claimed)
    person = join_with(mailbox, suspended)
    with app.app_context():
        users.bump_version(users.find_credentials(person.name).id, status="suspended")
    seen = []
    for address in (known, known.upper(), claimed, suspended, gone, new_address()):
        with statements(app) as asked:
            answer = forgot(app, address)
        headers = {name: value for name, value in answer.headers.items() if name != "X-Request-ID"}
        seen.append((answer.status_code, answer.data, headers, asked))
    assert seen[0][:2] == (202, b"")
    assert len(seen[0][3]) >= 3
    assert all(each == seen[0] for each in seen)


def test_only_a_proven_address_gets_mail_and_in_the_spelling_that_was_proven(app: Flask, mailbox: Mailbox) -> None:
    """A spelling that only compares as equal may lead to somebody else's mailbox."""
    known, claimed, wanted = new_address(), new_address(), new_address()
    person = join_with(mailbox, known)
    person.put("/v1/users/me/email", json={"email": wanted})
    Bearer(app).join(email=claimed)
    mailbox.deliver()
    for address in (known.upper(), claimed, wanted, new_address()):
        forgot(app, address)
    assert [(each["To"], each["Subject"]) for each in mailbox.deliver()] == [(known, "Choose a new password")]


def test_whoever_only_claims_the_address_gets_nothing(app: Flask, mailbox: Mailbox) -> None:
    """The token is the owner's, however many claim the address."""
    address = new_address()
    claimants = [Bearer(app).join(email=address) for _ in range(2)]
    owner = join_with(mailbox, address)
    forgot(app, address)
    body = {"token": mailbox.token(address), "new_password": "Battery-Staple-8"}
    assert Bearer(app).request("POST", "/v1/auth/password/reset", json=body).status_code == 204
    assert owner.login().status_code == 401
    assert {each.login().status_code for each in claimants} == {200}


@pytest.mark.parametrize("address", ["ada", "@example.com", "ada@example", "", 7, None, ["ada@example.com"]])
def test_what_is_no_address_is_refused(app: Flask, address: Any) -> None:
    answer = forgot(app, address)
    assert (answer.status_code, {each["pointer"] for each in answer.json["errors"]}) == (422, {"/email"})


def test_registering_with_a_taken_address_costs_the_same_statements(app: Flask, mailbox: Mailbox) -> None:
    known = new_address()
    join_with(mailbox, known)
    asked = []
    for address in (known, known.upper(), new_address()):
        with statements(app) as found:
            assert Bearer(app).register(email=address).status_code == 201
        asked.append(found)
    assert len(asked[0]) >= 5
    assert asked[0] == asked[1] == asked[2]


def test_a_failed_sign_in_costs_the_same_statements(new_app: Callable[..., Flask]) -> None:
    """Also when it is counted, and when the pauses have begun."""
    rates = {f"ratelimit_{name}": "100000/minute" for name in ("login_account", "login_address", "register")}
    app = new_app(ratelimit_enabled=True, **rates)
    known = new_address()
    person = join_with(Mailbox(app), known)
    for names in ((person.name, new_name()), (known, new_address())) * 6:
        asked = []
        for name in names:
            with statements(app) as found:
                Bearer(app).request("POST", LOGIN, json={"username": name, "password": "Wrong-Horse-7"})
            asked.append(found)
        assert len(asked[0]) >= 3
        assert asked[0] == asked[1]


def smirnov(left: list[float], right: list[float]) -> float:
    """How probable it is that two samples of one distribution differ at least as much as these do.

    Source: Press et al., Numerical Recipes, section 14.3.3.
    """
    left, right = sorted(left), sorted(right)
    size = math.sqrt(len(left) * len(right) / (len(left) + len(right)))
    both = left + right
    greatest = max(abs(bisect_right(left, at) / len(left) - bisect_right(right, at) / len(right)) for at in both)
    scaled = (size + 0.12 + 0.11 / size) * greatest
    if scaled < 0.3:
        return 1.0  # where the series below converges too slowly
    return 2 * sum((-1) ** (k - 1) * math.exp(-2 * (k * scaled) ** 2) for k in range(1, 101))


def test_the_comparison_itself() -> None:
    """It tells two distributions apart at this size, and not one from itself; the value in the middle is from its table."""
    dice = random.Random(7)
    one, same, later, wider = ([dice.gauss(*at) for _ in range(SAMPLE)] for at in ((5, 1), (5, 1), (6, 1), (5, 3)))
    assert smirnov(one, one) == 1.0
    assert smirnov(one, same) > 0.01
    assert smirnov(one, later) < TOLD_APART
    assert smirnov(one, wider) < TOLD_APART
    assert smirnov(list(range(100)), [each + 19.4 for each in range(100)]) == pytest.approx(0.04, abs=0.01)


def how_alike(app: Flask, path: str, known: Iterator[dict[str, Any]], unknown: Iterator[dict[str, Any]]) -> float:
    """Call with both kinds of bodies in random order; return how probable such times are if there is no difference."""
    client = FlaskClient(app, app.response_class)  # without the recorder, whose checks take longer than the request
    times: dict[bool, list[float]] = {True: [], False: []}
    order = [True, False] * SAMPLE
    random.shuffle(order)
    for is_known in [True, False] * (WARM_UP // 2):
        client.post(path, json=next(known if is_known else unknown))
    gc.collect()
    gc.disable()
    try:
        for is_known in order:
            body = next(known if is_known else unknown)
            start = time.perf_counter()
            client.post(path, json=body)
            times[is_known].append(time.perf_counter() - start)
    finally:
        gc.enable()
    return smirnov(times[True], times[False])


def owned(app: Flask) -> Iterator[str]:
    """Addresses that somebody has proven, enough for two comparisons: an attacker would try each only once."""
    addresses = [new_address() for _ in range(2 * (SAMPLE + WARM_UP))]
    with app.app_context():
        encoded = users.hasher().hash(PASSWORD)
        with transaction():
            for each in addresses:
                user = users.create(username=new_name(), password_hash=encoded, email=each, display_name=None)
                access.grant(user.id, access.USER)
                users.bump_version(user.id, email_verified_at=clock.now())
    return iter(addresses)


def strangers() -> Iterator[str]:
    return (new_address() for _ in itertools.count())


@long
def test_the_time_of_a_failed_sign_in_tells_nothing(hashing_app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Naive: who is unknown needs no hash."""

    def bodies(addresses: Iterator[str]) -> Iterator[dict[str, Any]]:
        return ({"username": each, "password": "Wrong-Horse-7"} for each in addresses)

    known = owned(hashing_app)
    assert how_alike(hashing_app, LOGIN, bodies(known), bodies(strangers())) > TOLD_APART
    honest = Hasher.verify
    monkeypatch.setattr(Hasher, "verify", lambda self, password, encoded: bool(encoded) and honest(self, password, encoded))
    assert how_alike(hashing_app, LOGIN, bodies(known), bodies(strangers())) < TOLD_APART


@long
def test_the_time_of_a_forgotten_password_tells_nothing(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Naive: a token is made and a mail sent at once, where there is somebody."""

    def bodies(addresses: Iterator[str]) -> Iterator[dict[str, Any]]:
        return ({"email": each} for each in addresses)

    def naive(email: str) -> None:
        user_id = users.find_by_proven_email(email)
        if user_id:
            send_at_once(OutgoingEmail(kind="reset_password", recipient=email, user_id=user_id))

    known = owned(app)
    assert how_alike(app, FORGOT, bodies(known), bodies(strangers())) > TOLD_APART
    monkeypatch.setattr(password_reset, "ask", naive)
    assert how_alike(app, FORGOT, bodies(known), bodies(strangers())) < TOLD_APART


@long
def test_the_time_of_a_registration_tells_nothing(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Naive: whoever has the address already is looked for, and written to, at once."""

    def bodies(addresses: Iterator[str]) -> Iterator[dict[str, Any]]:
        return ({"username": new_name(), "password": PASSWORD, "email": each} for each in addresses)

    honest = registration.register

    def naive(**account: Any) -> Any:
        identity = honest(**account)
        if users.find_by_proven_email(account["email"]):
            send_at_once(OutgoingEmail(kind="verify_email", recipient=account["email"], user_id=identity.id))
        return identity

    known = owned(app)
    assert how_alike(app, REGISTER, bodies(known), bodies(strangers())) > TOLD_APART
    monkeypatch.setattr(registration, "register", naive)
    assert how_alike(app, REGISTER, bodies(known), bodies(strangers())) < TOLD_APART


def send_at_once(letter: OutgoingEmail) -> None:
    """Compose and send a mail within the request."""
    with transaction():
        message = mail.COMPOSERS[letter.kind](letter)
    assert message
    configured_sender()(letter.user_id, message)
