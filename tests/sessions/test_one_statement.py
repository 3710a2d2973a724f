"""What an authenticated request costs: one SQL statement, and one verified signature where another process signed the token."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from flask import Flask
from jwt.algorithms import OKPAlgorithm
from sqlalchemy import event

from api.database import db
from api.extensions import VERIFIED, VerifiedTokens
from api.keys import keyring
from tests.actors import Bearer

ME = "/v1/users/me"


@contextmanager
def statements(app: Flask) -> Iterator[list[str]]:
    """Every SQL statement that any engine of the app executes meanwhile."""
    seen: list[str] = []

    def record(_connection, _cursor, statement: str, *_: object) -> None:
        seen.append(statement)

    with app.app_context():
        engines = list(db.engines.values())
        # A process reads its keys again every ten seconds, which may be now; from here on it has just done so.
        keyring().forget()
        keyring().signing()
    for engine in engines:
        event.listen(engine, "before_cursor_execute", record)
    try:
        yield seen
    finally:
        for engine in engines:
            event.remove(engine, "before_cursor_execute", record)


@pytest.fixture
def verified(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every signature that is verified from now on."""
    seen: list[str] = []
    verify = OKPAlgorithm.verify

    def counting(self: OKPAlgorithm, msg, key, sig) -> bool:
        seen.append(repr(sig))
        return verify(self, msg, key, sig)

    monkeypatch.setattr(OKPAlgorithm, "verify", counting)
    return seen


@pytest.mark.parametrize("signed_here", [True, False])
@pytest.mark.parametrize("path", [ME, "/v1/auth/session"])
def test_an_authenticated_read_costs_one_signature_and_one_statement(
    person: Bearer, verified: list[str], path: str, *, signed_here: bool
) -> None:
    """User, roles, session and every kind of revocation come with that one statement, each time anew."""
    assert Bearer(person.app).join().get(path).status_code == 200  # connections and keys are warm from here
    verified.clear()
    if not signed_here:
        person.app.extensions[VERIFIED] = VerifiedTokens()
    for signatures in (0, 0, 0) if signed_here else (1, 1, 1):  # in all: the second and the third use need none
        with statements(person.app) as seen:
            assert person.get(path).status_code == 200
        assert len(seen) == 1, seen
        assert seen[0].lstrip().upper().startswith("SELECT")
        assert len(verified) == signatures


def test_the_count_sees_every_statement(person: Bearer) -> None:
    """The opposite: an operation that does more is counted so."""
    with statements(person.app) as seen:
        assert person.patch(ME, json={"display_name": "Ada"}).status_code == 200
    assert len(seen) >= 3, seen  # who is calling, the change, the result


def test_a_revoked_token_costs_no_more(person: Bearer, verified: list[str]) -> None:
    token = person.access_token or person.client.get_cookie("keycard_access").value
    person.logout()
    other = Bearer(person.app)
    verified.clear()
    with statements(person.app) as seen:
        assert other.request("GET", ME, token=token).json["type"] == "/problems/token-revoked"
    assert len(seen) == 1, seen
    assert len(verified) <= 1


@pytest.mark.parametrize("token", ["x", "a.b.c", "eyJhbGciOiJub25lIn0.e30."])
def test_a_malformed_token_costs_nothing(anybody: Bearer, verified: list[str], token: str) -> None:
    """Nobody makes the database work without a signature of ours."""
    with statements(anybody.app) as seen:
        assert anybody.request("GET", ME, token=token).status_code == 401
    assert (seen, verified) == ([], [])


def test_a_forged_signature_costs_no_statement(user: Bearer, verified: list[str]) -> None:
    user.get(ME)
    start, _, signature = user.access_token.rpartition(".")
    forged = f"{start}.{'A' if signature[0] != 'A' else 'B'}{signature[1:]}"
    verified.clear()
    with statements(user.app) as seen:
        assert user.request("GET", ME, token=forged).json["type"] == "/problems/invalid-token"
    assert seen == []
    assert len(verified) == 1


def test_an_anonymous_caller_costs_no_statement(anybody: Bearer) -> None:
    with statements(anybody.app) as seen:
        assert anybody.get("/v1/auth/session").json == {"authenticated": False}
        assert anybody.get(ME).status_code == 401
    assert seen == []
