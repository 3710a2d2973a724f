"""Rate limits. Each test calls from addresses of its own, because Redis counts for every app together."""

import random
from dataclasses import fields
from typing import Any

import pytest
from flask import Flask
from limits import parse
from werkzeug.test import TestResponse

from api.config import Settings
from tests.actors import Bearer, Hybrid, new_name

LOGIN = "/v1/auth/login"
RATES = {
    "login_account": (5, 60),
    "login_address": (20, 60),
    "password": (5, 60),
    "register": (3, 60),
    "register_3600": (30, 3600),
    "mail": (3, 60),
    "mail_3600": (20, 3600),
    "general": (600, 60),
}


@pytest.fixture(scope="module")
def limited(new_app) -> Flask:
    return new_app(ratelimit_enabled=True)


@pytest.fixture(scope="module")
def proxied(new_app) -> Flask:
    """Behind one proxy."""
    return new_app(ratelimit_enabled=True, trusted_hops=1)


def new_address() -> str:
    return f"2001:db8:{random.getrandbits(16):x}:{random.getrandbits(16):x}::{random.getrandbits(16):x}"


def at(app: Flask, address: str | None = None, name: str | None = None) -> Bearer:
    """Somebody who calls from an address, a new one unless given."""
    person = Bearer(app, name)
    person.client.environ_base["REMOTE_ADDR"] = address or new_address()
    return person


def try_login(person: Bearer, name: str | None = None, password: str = "Wrong-Horse-7", **kwargs: Any) -> TestResponse:
    return person.request("POST", LOGIN, json={"username": name or person.name, "password": password}, **kwargs)


def statuses(person: Bearer, times: int, **kwargs: Any) -> list[int]:
    return [try_login(person, **kwargs).status_code for _ in range(times)]


def test_the_sixth_sign_in_to_one_account_from_one_address_is_refused(limited: Flask, clock) -> None:
    """Also with the right password: otherwise the limit would tell which guess was right."""
    owner, address = at(limited).join(), new_address()
    guesser = at(limited, address, owner.name)
    assert statuses(guesser, 5) == [401] * 5
    answer = try_login(guesser, password=owner.password)
    assert (answer.status_code, answer.json["type"]) == (429, "/problems/too-many-requests")
    assert answer.headers["Retry-After"] == "60"
    assert answer.headers["RateLimit"] == '"login_account";r=0;t=60'


def test_a_stranger_elsewhere_locks_nobody_out(limited: Flask) -> None:
    owner = at(limited).join()
    stranger = at(limited, name=owner.name)
    assert statuses(stranger, 6)[-1] == 429
    assert owner.login().status_code == 200


def test_spelling_the_name_differently_gives_no_further_guesses(limited: Flask) -> None:
    guesser = at(limited)
    names = [guesser.name, guesser.name.upper(), guesser.name.title()] * 2
    assert [try_login(guesser, name).status_code for name in names] == [401] * 5 + [429]


def test_sign_ins_that_succeed_count_too(limited: Flask) -> None:
    owner = at(limited).join()  # the first one
    assert [owner.login().status_code for _ in range(5)] == [200] * 4 + [429]


def test_one_address_gets_twenty_sign_ins_whatever_they_are(limited: Flask) -> None:
    """Wrong, right, malformed, of another type: a limit that forgets some of them can be walked around."""
    owner = at(limited).join()
    caller = at(limited, name=owner.name)
    seen = [*statuses(caller, 2), caller.login().status_code]
    seen += [try_login(caller, new_name()).status_code for _ in range(12)]
    seen += [caller.request("POST", LOGIN, data=b"{", content_type="application/json").status_code for _ in range(2)]
    seen += [caller.request("POST", LOGIN, data=b"a=b", content_type="text/plain").status_code]
    seen += [caller.request("POST", LOGIN, json=body).status_code for body in ([], {"username": 7})]
    assert seen == [401] * 2 + [200] + [401] * 12 + [400] * 2 + [415] + [422] * 2
    assert try_login(caller, new_name()).status_code == 429
    assert caller.login().status_code == 429


def test_malformed_sign_ins_alone_are_bounded(limited: Flask) -> None:
    caller = at(limited)
    seen = [caller.request("POST", LOGIN, data=b"{", content_type="application/json").status_code for _ in range(21)]
    assert seen[0] == 400
    assert seen[-1] == 429


def test_waiting_makes_room_again(limited: Flask, clock) -> None:
    """After exactly the announced time one sign-in fits, and not before."""
    guesser = at(limited)
    statuses(guesser, 1)
    clock.shift(30)
    statuses(guesser, 4)
    refused = try_login(guesser)
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "30")
    clock.shift(29)
    assert try_login(guesser).status_code == 429
    clock.shift(1.001)
    assert statuses(guesser, 2) == [401, 429]


def test_what_was_refused_is_not_counted_against_the_next_window(limited: Flask, clock) -> None:
    """Impatience does not lock out for ever."""
    guesser = at(limited)
    statuses(guesser, 5)
    for _ in range(3):
        clock.shift(10)
        assert try_login(guesser).status_code == 429
    clock.shift(30.001)
    assert try_login(guesser).status_code == 401


def test_the_headers_say_how_much_room_is_left(limited: Flask, clock) -> None:
    guesser = at(limited)
    for left in (4, 3, 2, 1, 0):
        answer = try_login(guesser)
        policies = set(answer.headers["RateLimit-Policy"].split(", "))
        assert policies == {'"login_account";q=5;w=60', '"login_address";q=20;w=60'}
        assert answer.headers["RateLimit"] == f'"login_account";r={left};t=60'
    refused = try_login(guesser)
    assert '"login_account";q=5;w=60' in refused.headers["RateLimit-Policy"].split(", ")
    assert refused.headers["RateLimit"] == '"login_account";r=0;t=60'


def test_the_limit_with_the_least_room_is_named(limited: Flask, clock) -> None:
    """Somebody who tries many names is told of the limit of their address."""
    guesser = at(limited)
    answers = [try_login(guesser, new_name()) for _ in range(21)]
    assert answers[0].headers["RateLimit"] == '"login_account";r=4;t=60'
    assert answers[18].headers["RateLimit"] == '"login_address";r=1;t=60'
    assert (answers[20].status_code, answers[20].headers["RateLimit"]) == (429, '"login_address";r=0;t=60')


def test_registrations_are_limited_per_address(limited: Flask) -> None:
    address = new_address()
    assert [at(limited, address).register().status_code for _ in range(4)] == [201] * 3 + [429]
    assert at(limited).register().status_code == 201


def test_passwords_of_a_signed_in_account_are_limited_wherever_it_calls_from(limited: Flask) -> None:
    """A stolen token guesses the password neither through one operation nor through the other."""
    owner, other = at(limited).join(), at(limited).join()
    wrong = {"current_password": "Wrong-Horse-7", "new_password": "Battery-Staple-8"}
    seen = []
    for _ in range(3):
        owner.client.environ_base["REMOTE_ADDR"] = new_address()
        seen.append(owner.post("/v1/auth/reauthenticate", json={"password": "Wrong-Horse-7"}).status_code)
        seen.append(owner.put("/v1/users/me/password", json=wrong).status_code)
    assert seen == [403] * 5 + [429]
    assert other.post("/v1/auth/reauthenticate", json={"password": other.password}).status_code == 200


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "Client-IP", "True-Client-IP"])
def test_without_trusted_hops_no_header_changes_the_address(limited: Flask, header: str) -> None:
    guesser = at(limited)
    forged = [{header: f"for={new_address()}" if header == "Forwarded" else new_address()} for _ in range(6)]
    assert [try_login(guesser, headers=each).status_code for each in forged] == [401] * 5 + [429]


def test_behind_a_proxy_the_forwarded_address_counts(proxied: Flask) -> None:
    """All come from the proxy's address; the stranger uses up their own room, not the owner's."""
    proxy, home, elsewhere = new_address(), new_address(), new_address()
    owner = at(proxied, proxy)
    owner.client.environ_base["HTTP_X_FORWARDED_FOR"] = home
    owner.join()
    stranger = at(proxied, proxy, owner.name)
    seen = statuses(stranger, 6, headers={"X-Forwarded-For": elsewhere})
    assert seen == [401] * 5 + [429]
    assert owner.login().status_code == 200
    assert owner.get("/v1/auth/session").json["session"]["ip_address"] == home


def test_only_the_hop_that_the_proxy_wrote_is_believed(proxied: Flask) -> None:
    """What stands before it was sent by the client."""
    guesser, real = at(proxied), new_address()
    headers = [{"X-Forwarded-For": f"{new_address()}, {real}"} for _ in range(6)]
    assert [try_login(guesser, headers=each).status_code for each in headers] == [401] * 5 + [429]


def test_reads_of_a_signed_in_caller_are_not_counted(new_app) -> None:
    app = new_app(ratelimit_enabled=True, ratelimit_general="3/minute")
    person = at(app).join()
    answers = [person.get("/v1/users/me") for _ in range(10)]
    assert {answer.status_code for answer in answers} == {200}
    assert not any("RateLimit" in answer.headers for answer in answers)
    assert [person.get("/v1/config").status_code for _ in range(4)] == [200] * 3 + [429]
    assert [person.patch("/v1/users/me", json={}).status_code for _ in range(4)] == [200] * 3 + [429]
    assert [person.get("/health/live").status_code for _ in range(5)] == [200] * 5


def test_each_rate_is_a_setting_and_the_configuration_shows_what_is_in_force(new_app) -> None:
    rates = {
        "login_account": "2/minute",
        "login_address": "4/hour",
        "password": "1/minute",
        "register": "2/day",
        "mail": "1/hour",
        "general": "9/second",
    }
    app = new_app(ratelimit_enabled=True, **{f"ratelimit_{name}": rate for name, rate in rates.items()})
    address = new_address()
    owner = at(app, address).join()
    shown = {each["name"]: (each["limit"], each["window"]) for each in owner.get("/v1/config").json["rate_limits"]}
    assert shown == {name: (parse(rate).amount, parse(rate).get_expiry()) for name, rate in rates.items()}
    assert [at(app, address).register().status_code for _ in range(2)] == [201, 429]
    assert [owner.login().status_code for _ in range(2)] == [200, 429]
    assert [at(app, address).login().status_code for _ in range(3)][-1] == 429
    assert [owner.post("/v1/auth/reauthenticate", json={"password": "x"}).status_code for _ in range(2)] == [403, 429]


def test_a_rate_of_several_parts_is_shown_as_it_is_enforced(new_app) -> None:
    """In the configuration, in the document and in the headers, whichever way it is written."""
    app = new_app(ratelimit_enabled=True, ratelimit_general="9/2 hours, 4/minute;100 per day")
    caller = at(app)
    answer = caller.get("/v1/config")
    shown = {each["name"]: (each["limit"], each["window"]) for each in answer.json["rate_limits"] if "general" in each["name"]}
    assert shown == {"general": (4, 60), "general_7200": (9, 7200), "general_86400": (100, 86_400)}
    policies = [f'"{name}";q={limit};w={window}' for name, (limit, window) in shown.items()]
    assert sorted(answer.headers["RateLimit-Policy"].split(", ")) == policies
    described = caller.get("/openapi.json").json["paths"]["/v1/config"]["get"]["x-rate-limits"]
    assert described == [f"{part} per operation and address" for part in ("4/minute", "9/2 hours", "100/day")]


def test_every_part_of_a_rate_must_have_room(new_app, clock) -> None:
    """The one with the least room is named, and where several have none, the one that takes longest."""
    caller = at(new_app(ratelimit_enabled=True, ratelimit_general="3/minute;5/hour"))
    seen = []
    for seconds in (0, 0, 0, 0, 61, 0, 0, 61, 3478.001, 1):
        clock.shift(seconds)
        answer = caller.get("/v1/config")
        seen.append((answer.status_code, answer.headers["RateLimit"], answer.headers.get("Retry-After")))
    assert seen == [
        (200, '"general";r=2;t=60', None),
        (200, '"general";r=1;t=60', None),
        (200, '"general";r=0;t=60', None),
        (429, '"general";r=0;t=60', "60"),
        (200, '"general_3600";r=1;t=3539', None),
        (200, '"general_3600";r=0;t=3539', None),
        (429, '"general_3600";r=0;t=3539', "3539"),
        (429, '"general_3600";r=0;t=3478', "3478"),
        (200, '"general_3600";r=2;t=61', None),
        (200, '"general_3600";r=1;t=60', None),
    ]


def test_one_address_makes_neither_a_hundred_accounts_nor_a_hundred_mails_an_hour(limited: Flask, clock) -> None:
    """However patient somebody is."""
    address, made, mailed = new_address(), [], []
    for _ in range(20):
        clock.shift(61)
        made += [at(limited, address).register().status_code for _ in range(4)]
        stranger = at(limited, address)
        mailed += [
            stranger.request("POST", "/v1/auth/password/forgot", json={"email": "a@example.com"}).status_code for _ in range(4)
        ]
    assert made.count(201) == 30
    assert mailed.count(202) == 20


def test_the_configuration_shows_every_default(limited: Flask) -> None:
    shown = {each["name"]: (each["limit"], each["window"]) for each in at(limited).get("/v1/config").json["rate_limits"]}
    assert shown == RATES
    assert {f"ratelimit_{name.removesuffix('_3600')}" for name in shown} == {
        each.name for each in fields(Settings) if each.name.startswith("ratelimit_") and each.name != "ratelimit_enabled"
    }


def test_switched_off_nothing_is_counted_and_nothing_shown(app: Flask) -> None:
    caller = at(app)
    assert statuses(caller, 25) == [401] * 25
    assert "RateLimit" not in try_login(caller).headers
    assert caller.get("/v1/config").json["rate_limits"] == []


def test_a_refused_request_does_nothing(limited: Flask) -> None:
    address = new_address()
    for _ in range(3):
        at(limited, address).register()
    late = at(limited, address)
    assert late.register().status_code == 429
    assert at(limited, name=late.name).register().status_code == 201


def test_cookies_are_not_touched_by_a_refusal(limited: Flask) -> None:
    person = Hybrid(limited)
    person.client.environ_base["REMOTE_ADDR"] = new_address()
    person.join()
    answers = [person.login() for _ in range(5)]
    assert answers[-1].status_code == 429
    assert "Set-Cookie" not in answers[-1].headers
    assert person.refresh().status_code == 200
