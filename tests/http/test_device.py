"""Where a request comes from: addresses as proxies write them, and the networks that counting goes by."""

import random
from collections.abc import Callable
from ipaddress import ip_address

import pytest
from flask import Flask

from api.http.device import network_of, parse_address
from tests.actors import Bearer

SESSION = "/v1/auth/session"
FORWARDED = [
    ("192.0.2.7", "192.0.2.7"),
    ("192.0.2.7:54321", "192.0.2.7"),
    ("[192.0.2.7]:54321", "192.0.2.7"),
    ("2001:db8::7", "2001:db8::7"),
    ("2001:0DB8:0000:0000:0000:0000:0000:0007", "2001:db8::7"),
    ("[2001:db8::7]", "2001:db8::7"),
    ("[2001:0db8:85a3:0000:0000:8a2e:0370:7334]:54321", "2001:db8:85a3::8a2e:370:7334"),
    ("::ffff:192.0.2.7", "192.0.2.7"),
    ("[::ffff:192.0.2.7]:443", "192.0.2.7"),
    ("fe80::1%eth0", "fe80::1"),
    (f"fe80::1%{'x' * 100}", "fe80::1"),
]
NONE = ["unknown", "_hidden", "1" * 60, "192.0.2", "192.0.2.256", "192.0.2.7:", "192.0.2.7:port", "[2001:db8::7",
        "2001:db8::7]:1", "[2001:db8::7]x", "[]:80", "192.0.2.7/24", "x" * 5000, "192.0.2.7\u0660"]  # fmt: skip


@pytest.mark.parametrize(("text", "address"), FORWARDED)
def test_every_way_of_writing_an_address_is_the_same_address(text: str, address: str) -> None:
    assert str(parse_address(text)).partition("%")[0] == address


@pytest.mark.parametrize("text", [*NONE, "", None])
def test_what_is_no_address_is_none(text: str | None) -> None:
    assert parse_address(text) is None
    assert network_of(text, ipv4_prefix=24) == "unknown"


@pytest.mark.parametrize(
    ("text", "prefix", "network"),
    [
        ("192.0.2.77", 24, "192.0.2.0/24"),
        ("192.0.2.77", 32, "192.0.2.77/32"),
        ("192.0.2.77:54321", 32, "192.0.2.77/32"),
        ("::ffff:192.0.2.77", 24, "192.0.2.0/24"),
        ("2001:db8:1:2:3:4:5:6", 24, "2001:db8:1:2::/64"),
        ("[2001:db8:1:2::9]:443", 32, "2001:db8:1:2::/64"),
        ("fe80::1%eth0", 24, "fe80::/64"),
    ],
)
def test_the_network_of_an_address(text: str, prefix: int, network: str) -> None:
    assert network_of(text, ipv4_prefix=prefix) == network


def test_no_network_is_longer_than_its_column() -> None:
    widest = str(ip_address(2**128 - 1))
    assert len(network_of(widest, ipv4_prefix=24)) <= 43


@pytest.fixture(scope="module")
def proxied(new_app: Callable[..., Flask]) -> Flask:
    """Behind one proxy."""
    return new_app(trusted_hops=1)


def at(app: Flask, forwarded: str) -> Bearer:
    person = Bearer(app)
    person.client.environ_base["HTTP_X_FORWARDED_FOR"] = forwarded
    return person


@pytest.mark.parametrize(("text", "address"), FORWARDED)
def test_whatever_a_proxy_writes_people_come_in(proxied: Flask, text: str, address: str) -> None:
    """And the session, and the log, show the one way in which we write it: PostgreSQL keeps 45 characters."""
    person = at(proxied, text).join()
    assert person.refresh().status_code == 200
    assert person.get(SESSION).json["session"]["ip_address"] == address
    items = person.get("/v1/users/me/events").json["items"]
    assert {each["ip_address"] for each in items} == {address}


@pytest.mark.parametrize("text", [each for each in NONE if each.isascii()])
def test_what_is_no_address_keeps_nobody_out(proxied: Flask, text: str) -> None:
    person = at(proxied, text).join()
    assert person.get(SESSION).json["session"]["ip_address"] is None
    assert person.login(password="Wrong-Horse-77").status_code == 401


@pytest.fixture(scope="module")
def limited(new_app: Callable[..., Flask]) -> Flask:
    return new_app(ratelimit_enabled=True, trusted_hops=1)


def test_every_address_of_an_ipv6_customer_counts_as_one(limited: Flask) -> None:
    """A /64 is the least that anybody gets, with more addresses than there are guesses."""
    prefix = f"2001:db8:{random.getrandbits(16):x}:{random.getrandbits(16):x}"
    inside = [at(limited, f"{prefix}::{number:x}").register().status_code for number in (1, 2, 3)]
    inside += [at(limited, f"[{prefix}:ffff:ffff:ffff:fffe]:443").register().status_code]
    assert inside == [201, 201, 201, 429]
    next_door = f"2001:db9:{random.getrandbits(16):x}:{random.getrandbits(16):x}::1"
    assert at(limited, next_door).register().status_code == 201


def test_ports_and_brackets_make_no_new_address(limited: Flask) -> None:
    """Azure's gateways write the port, which is another one for every connection."""
    address = f"100.{random.randint(64, 127)}.{random.randint(0, 255)}.{random.randint(1, 254)}"
    written = [f"{address}:{number}" for number in (40_001, 40_002)] + [f"[::ffff:{address}]:40003", address]
    assert [at(limited, each).register().status_code for each in written] == [201, 201, 201, 429]
