"""What people and their addresses may be called."""

import pytest
from flask import Flask

from tests.actors import PASSWORD, Bearer, new_name


def faults(app: Flask, **values: str) -> list[str]:
    """Register with these values; return the pointers of what was refused, none when registered."""
    body = {"username": new_name(), "password": PASSWORD, **values}
    answer = Bearer(app).request("POST", "/v1/auth/register", json=body)
    assert answer.status_code in {201, 422}
    return [fault["pointer"] for fault in answer.json["errors"]] if answer.status_code == 422 else []


@pytest.mark.parametrize("form", ["{}", "0{}", "{}.b", "{}_b", "{}-b", "{}-", "A{}"])
def test_a_username_of_letters_digits_dots_hyphens_and_underscores_is_accepted(app: Flask, form: str) -> None:
    assert faults(app, username=form.format(new_name("n"))) == []


@pytest.mark.parametrize("length", [3, 80])
def test_usernames_of_the_shortest_and_longest_length_are_accepted(app: Flask, length: int) -> None:
    name = new_name("").removeprefix("-")
    taken = Bearer(app, name=(name * 8)[:length]).register()
    assert taken.status_code in {201, 409}  # three characters may have been drawn before
    assert taken.status_code == 201 or length == 3


@pytest.mark.parametrize(
    "name",
    ["", "ab", "a" * 81, "-ada", ".ada", "_ada", "ada lovelace", " ada", "ada ", "ada@example.com", "ada\n", "ada\u0000",
     "\u0430da", "ada\u200b", "\uff41\uff44\uff41", "ada/../x", "ada%", "<b>ada</b>"],
)  # fmt: skip
def test_any_other_username_is_refused(app: Flask, name: str) -> None:
    """Names that look alike, or that break a path or a page, cannot be registered."""
    assert "/username" in faults(app, username=name)


@pytest.mark.parametrize(
    ("typed", "why"),
    [(str.upper, "case"), (lambda name: "".join(chr(ord(mark) + 0xFEE0) for mark in name), "full width")],
    ids=["case", "width"],
)
def test_a_username_is_found_however_it_is_typed(app: Flask, typed, why: str) -> None:
    """Compared case-insensitively after Unicode normalisation: a Japanese keyboard types wide letters."""
    person = Bearer(app).join()
    assert Bearer(app, name=typed(person.name)).login().status_code == 200, why


@pytest.mark.parametrize(
    "email",
    [
        "ada@example.com",
        "ADA@EXAMPLE.COM",
        "ada.lovelace+keycard@mail.example.co.uk",
        "a_b-c@sub.sub.example.org",
        "1@2.example",
        "a@b.cd",
        "o'brien@example.com",
        "a@xn--bcher-kva.example",
        "a@xn--e1afmkfd.xn--p1ai",
        "a" * 64 + "@example.com",
        "a@" + ".".join(["b" * 63] * 3) + "." + "c" * 56 + ".com",
    ],
    ids=lambda email: email[:24],
)
def test_an_e_mail_address_is_accepted(app: Flask, email: str) -> None:
    """What mail servers of today accept (RFC 5321, section 4.1.2): apostrophes and internationalised domains too."""
    assert len(email) <= 254
    assert faults(app, email=email) == []


@pytest.mark.parametrize(
    "email",
    ["", "ada", "ada@", "@example.com", "ada@localhost", "ada@127.0.0.1", "ada@[127.0.0.1]", "a d@example.com",
     "ada@exam ple.com", "ada..b@example.com", ".ada@example.com", "ada.@example.com", "ada@-example.com",
     "ada@example-.com", "ada@example..com", "ada@example.com.", "ada@@example.com", "ada@b@example.com",
     "<ada@example.com>", "Ada <ada@example.com>", "ada@example.com,eve@example.com", "ada@example.com\n",
     "ada@example.com\r\nBcc: eve@example.com", "ada@example.com\u0000", " ada@example.com", "ada@example.c",
     "a@" + "b" * 64 + ".com", "a@" + "b.cc" * 63 + ".com"],
    ids=lambda email: repr(email)[:24],
)  # fmt: skip
def test_what_is_no_e_mail_address_is_refused(app: Flask, email: str) -> None:
    """Also what would put a second recipient or a header into a mail."""
    assert "/email" in faults(app, email=email)


@pytest.mark.parametrize(
    "name", ["A", "Ada Lovelace", "李小龍", "محمد", "Zoë Saldaña", "O'Brien", "🦊", "नेहा", "x" * 80, "<script>"]
)
def test_a_display_name_may_be_in_any_script(app: Flask, name: str) -> None:
    answer = Bearer(app).register(display_name=name)
    assert (answer.status_code, answer.json["display_name"]) == (201, name)


@pytest.mark.parametrize("name", ["", "x" * 81, "Ada\u0000", "Ada\nLovelace", "Ada\u009b", "\u007f"])
def test_a_display_name_holds_no_control_characters(app: Flask, name: str) -> None:
    assert "/display_name" in faults(app, display_name=name)


RESERVED = [
    "root",
    "Admin",
    "ADMINISTRATOR",
    "support",
    "post.master",
    "Web-Master",
    "null",
    "keycard",
    "Key_Card",
    "no-reply",
    "demo",
]


@pytest.mark.parametrize("name", [*RESERVED, "acme", "A.c.m.e-1"])
def test_nobody_registers_a_name_that_is_taken_for_the_service(new_app, name: str) -> None:
    """The service's own list, and what a setting adds."""
    app = new_app(reserved_usernames=("Acme", "acme_1"))
    answer = Bearer(app, name=name).register()
    assert (answer.status_code, answer.json["type"]) == (409, "/problems/username-taken")
    assert answer.json["errors"] == [{"pointer": "/username", "detail": "Reserved."}]


def test_a_name_that_only_begins_like_a_reserved_one_is_free(app: Flask) -> None:
    assert faults(app, username=new_name("admin")) == []


def test_an_administrator_may_give_a_reserved_name(new_app) -> None:
    """Whoever runs the service may have an account called so."""
    app = new_app(reserved_usernames=("acme",))
    admin = Bearer(app).join(roles=["admin"])
    assert admin.post("/v1/admin/users", json={"username": "acme", "password": PASSWORD}).status_code == 201
