"""Hashes that other applications made, with the real libraries: what is taken over, what is refused, and the first sign-in."""

import re
from collections.abc import Callable
from typing import Any

import bcrypt
import pytest
from argon2 import PasswordHasher, Type
from flask import Flask
from werkzeug.security import generate_password_hash

from api import users
from api.users import foreign_hashes, passwords
from api.users.foreign_hashes import is_supported
from tests.actors import Bearer
from tests.processes.servers import simultaneously
from tests.slots import every_slot_taken

PASSWORD = "an old password"
Hash = Callable[[str], str]


def argon2(type_: Type = Type.ID, **costs: int) -> Hash:
    return PasswordHasher(**{"time_cost": 1, "memory_cost": 128, "parallelism": 1, **costs}, type=type_).hash


def bcrypt_as(prefix: str) -> Hash:
    """PHP and some others write 2y for what is 2b."""

    def make(password: str) -> str:
        encoded = bcrypt.hashpw(password.encode()[:72], bcrypt.gensalt(4)).decode()
        return encoded.replace("$2b$", f"${prefix}$")

    return make


def werkzeug(method: str, salt_length: int = 16) -> Hash:
    return lambda password: generate_password_hash(password, method, salt_length)


KINDS: dict[str, Hash] = {
    "argon2id": argon2(),
    "argon2i": argon2(Type.I),
    "argon2d": argon2(Type.D),
    "bcrypt 2a": bcrypt_as("2a"),
    "bcrypt 2b": bcrypt_as("2b"),
    "bcrypt 2y": bcrypt_as("2y"),
    "scrypt": werkzeug("scrypt:1024:8:1"),
    "pbkdf2 sha1": werkzeug("pbkdf2:sha1:1000", 8),
    "pbkdf2 sha256": werkzeug("pbkdf2:sha256:1000"),
    "pbkdf2 sha512": werkzeug("pbkdf2:sha512:1000"),
}
NO_ARGON2 = [make for kind, make in KINDS.items() if not kind.startswith("argon2")]
every_kind = pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
every_foreign_kind = pytest.mark.parametrize("make", NO_ARGON2, ids=[kind for kind in KINDS if not kind.startswith("argon2")])


def imported(app: Flask, encoded: str) -> Bearer:
    """Somebody whose account another application has made, with the hash that it had."""
    person = Bearer(app)
    with app.app_context():
        users.create(username=person.name, password_hash=encoded, email=None, display_name=None)
    return person


def login(person: Bearer, password: str) -> int:
    return person.login(password=password).status_code


def stored(person: Bearer) -> str:
    with person.app.app_context():
        found = users.find_credentials(person.name)
        assert found
        return found.password_hash


@every_kind
def test_the_first_sign_in_replaces_the_old_hash_by_argon2id(app: Flask, make: Hash) -> None:
    """A wrong password replaces nothing; the right one is the same afterwards, and so is a wrong one."""
    old = make(PASSWORD)
    person = imported(app, old)
    assert login(person, "not the password") == 401
    assert stored(person) == old
    assert login(person, PASSWORD) == 200
    new = stored(person)
    assert new.startswith("$argon2id$")
    with app.app_context():
        assert not users.hasher().is_outdated(new)
    assert login(person, PASSWORD) == 200
    assert stored(person) == new
    assert login(person, "not the password") == 401


def test_first_sign_ins_at_the_same_moment_all_work(app: Flask) -> None:
    """One of them replaces the hash while the others still check the old one; nobody gave a wrong password."""
    person = imported(app, bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(8)).decode())
    others = [Bearer(app, person.name) for _ in range(4)]
    assert simultaneously(*(lambda each=each: login(each, PASSWORD) for each in others)) == [200] * 4
    assert stored(person).startswith("$argon2id$")


@every_kind
def test_what_the_libraries_make_is_supported(make: Hash) -> None:
    """Salts are random, and base64 has rules for its last letter: many of each."""
    for _ in range(50):
        assert is_supported(make(PASSWORD))


@pytest.mark.parametrize(
    "encoded",
    [
        PasswordHasher().hash("x"),
        PasswordHasher(memory_cost=102_400, time_cost=2, parallelism=8, hash_len=16).hash("x"),
        argon2(salt_len=12, hash_len=64)("x"),
        bcrypt.hashpw(b"x", bcrypt.gensalt()).decode(),
        generate_password_hash("x"),
        generate_password_hash("x", "pbkdf2"),
    ],
    ids=["argon2", "argon2 of 2020", "argon2 lengths", "bcrypt", "werkzeug", "werkzeug pbkdf2"],
)
def test_the_defaults_of_the_libraries_are_supported(encoded: str) -> None:
    assert is_supported(encoded)
    assert len(encoded) <= foreign_hashes.MAX_LENGTH


COSTS = {
    "argon2 memory": ("argon2id", r"m=128", "m={}", "299999", ["300000", "104857600", "99999999999", "0128", "0", "8"]),
    "argon2 passes": ("argon2i", r"t=1", "t={}", "6", ["7", "1000000", "0"]),
    "argon2 lanes": ("argon2d", r"p=1", "p={}", "9", ["10", "16777215", "0"]),
    "argon2 version": ("argon2id", r"v=19", "v={}", "19", ["16", "18", "20"]),
    "bcrypt": ("bcrypt 2b", r"\$04\$", "${}$", "15", ["16", "31", "99", "03", "00", "4"]),
    "scrypt n": ("scrypt", r"1024:8", "{}:8", "131072", ["262144", str(2**30), "1025", "512", "0", "-1024"]),
    "scrypt r": ("scrypt", r":8:1", ":{}:1", "8", ["9", "1000000", "0"]),
    "scrypt p": ("scrypt", r":8:1", ":8:{}", "4", ["5", "1000000", "0"]),
    "pbkdf2": ("pbkdf2 sha512", r":1000\$", ":{}$", "2999999", ["3000000", "1000000000", "99", "0", "-1", "1e5"]),
}


@pytest.mark.parametrize(("kind", "place", "spelling", "most", "refused"), COSTS.values(), ids=COSTS)
def test_what_would_block_the_service_at_sign_in_is_refused(
    kind: str, place: str, spelling: str, most: str, refused: list[str]
) -> None:
    """Anybody who knows the name could have us do that work."""
    encoded = KINDS[kind](PASSWORD)

    def costing(value: str) -> str:
        return re.sub(place, lambda _: spelling.format(value), encoded, count=1)

    assert is_supported(costing(most))
    assert [value for value in refused if is_supported(costing(value))] == []


@pytest.mark.parametrize(
    "encoded",
    [
        "",
        "Correct-Horse-7",
        "5f4dcc3b5aa765d61d8327deb882cf99",
        "sha256$AbCdEfGh$5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8",
        "plain$$secret",
        "pbkdf2_sha256$260000$AbCdEfGh$rCzV7T1BNRzVu4TSRnnFGJvHjxCTNcWNnY6vxRVv5xo=",
        "$5$rounds=535000$AbCdEfGh$PDYgGY8RqUvTDZQ3KVxpEOfH2/tYzXcLbbLUTQ7SXBD",
        "$bcrypt-sha256$v=2,t=2b,r=12$n79VH.0Q2TMWmt3Oqt9uku$Kq4Noyk3094Y2QlB8NdRT8SvGiI4ft2",
        f"scrypt:32768:8:1$${'0' * 128}",
        f"pbkdf2:md5:1000$AbCdEfGh${'0' * 32}",
        f"pbkdf2:sha256$AbCdEfGh${'0' * 64}",
        f"pbkdf2:sha256:1000$sa$lt${'0' * 64}",
        f"pbkdf2:sha256:1000$AbCdEfGh${'0' * 128}",
        f"pbkdf2:sha256:1000${'s' * 65}${'0' * 64}",
        f"pbkdf2:sha256:\u0661000$AbCdEfGh${'0' * 64}",
        f"PBKDF2:sha256:1000$AbCdEfGh${'0' * 64}",
    ],
)
def test_what_is_no_hash_of_these_kinds_is_refused(encoded: str) -> None:
    assert not is_supported(encoded)


DAMAGES: dict[str, Callable[[str], str]] = {
    "a letter lost": lambda encoded: encoded[:-1],
    "a letter more": lambda encoded: encoded + "0",
    "a line": lambda encoded: encoded + "\n",
    "a space": lambda encoded: " " + encoded,
    "a NUL": lambda encoded: encoded + "\0",
    "bytes": lambda encoded: repr(encoded.encode()),
    "another alphabet": lambda encoded: encoded[:-1] + "\u0430",
    "the separator": lambda encoded: encoded.replace("$", "!"),
    "other case": str.upper,
}


@every_kind
@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_hash_is_refused(make: Hash, damage: Callable[[str], str]) -> None:
    """It would lock its owner out for good."""
    assert not is_supported(damage(make(PASSWORD)))


@pytest.mark.parametrize("loose", ["B", "h", "9"])
def test_base64_with_loose_bits_is_refused(loose: str) -> None:
    """Neither library reads it."""
    assert not is_supported(KINDS["bcrypt 2b"](PASSWORD)[:-1] + loose)
    assert not is_supported(argon2(hash_len=16)(PASSWORD)[:-1] + loose)


@pytest.mark.parametrize("encoded", [f"scrypt:{2**30}:8:1$AbCdEfGh${'0' * 128}", "$2b$31$" + "." * 53, "nonsense", "$argon2id$"])
def test_a_hash_that_is_not_supported_costs_no_work_even_if_it_is_stored(app: Flask, encoded: str) -> None:
    """However it came there: the answer is the ordinary one."""
    person = imported(app, encoded)
    assert login(person, PASSWORD) == 401
    assert stored(person) == encoded


@pytest.mark.parametrize("mark", ["x", "é", "密", "🦊"], ids=["1 byte", "2 bytes", "3 bytes", "4 bytes"])
def test_of_a_long_password_bcrypt_has_seen_72_bytes(app: Flask, mark: str) -> None:
    """So the first sign-in compares those, as the old application did; from then on every letter counts."""
    old = "A" + mark * 72
    person = imported(app, KINDS["bcrypt 2b"](old))
    assert login(person, "B" + old[1:]) == 401
    assert login(person, old) == 200
    assert login(person, old + "x") == 401
    assert login(person, old) == 200


@every_foreign_kind
@pytest.mark.parametrize("password", ["{}\0", "{}\0{}", "\0{}"])
def test_a_nul_is_never_part_of_an_old_password(app: Flask, make: Hash, password: str) -> None:
    """To bcrypt and to HMAC it can be nothing at all: who signed in with it would have locked out those who do without."""
    person = imported(app, make(PASSWORD))
    assert login(person, password.replace("{}", PASSWORD)) == 401
    assert login(person, PASSWORD) == 200


COMPOSED, DECOMPOSED = "Se\u00f1or-A\u0301ngel".replace("A\u0301", "\u00c1"), "Sen\u0303or-A\u0301ngel"


@every_kind
@pytest.mark.parametrize("hashed", [COMPOSED, DECOMPOSED], ids=["composed", "decomposed"])
def test_an_old_application_may_have_hashed_what_the_keyboard_sent(app: Flask, make: Hash, hashed: str) -> None:
    """Without normalising it. The same keyboard signs in; after that, any keyboard does."""
    person = imported(app, make(hashed))
    assert login(person, hashed) == 200
    assert [login(person, typed) for typed in (COMPOSED, DECOMPOSED)] == [200, 200]


class CountingArgon2(PasswordHasher):
    """The real one, which counts."""

    count = 0

    def verify(self, hash: str, password: str) -> Any:  # noqa: A002 - the library's name
        CountingArgon2.count += 1
        return super().verify(hash, password)


@pytest.fixture(scope="module")
def counting_app(new_app: Callable[..., Flask]) -> Flask:
    """An app that counts hashes, one at a time."""
    app = new_app(argon2_concurrency=1)
    app.extensions[passwords.EXTENSION]._argon2 = CountingArgon2(time_cost=1, memory_cost=8, parallelism=1)
    return app


def test_a_decomposed_password_costs_the_same_whether_there_is_such_an_account(counting_app: Flask) -> None:
    work = []
    for person in (Bearer(counting_app).join(), Bearer(counting_app)):
        CountingArgon2.count = 0
        assert login(person, DECOMPOSED) == 401
        work.append(CountingArgon2.count)
    assert work == [2, 2]


@every_foreign_kind
def test_old_hashes_are_checked_in_the_same_slots(counting_app: Flask, make: Hash) -> None:
    """Checking them takes a core as well, and some of them much memory."""
    person = imported(counting_app, make(PASSWORD))
    with counting_app.app_context():
        hasher = passwords.hasher()
    with every_slot_taken(hasher, patience=0.05):
        assert login(person, PASSWORD) == 503
    assert login(person, PASSWORD) == 200
