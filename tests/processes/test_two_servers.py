"""Two server processes on the same stores are one service."""

from concurrent.futures import ThreadPoolExecutor

import jwt
import pytest

from tests.actors import new_name
from tests.processes.conftest import Fleet
from tests.processes.servers import Visitor, simultaneously

REVOKED = "/problems/token-revoked"


def jti(token: str) -> str:
    return str(jwt.decode(token, options={"verify_signature": False})["jti"])


def test_servers_that_start_together_on_empty_stores_share_one_key(fleet: Fleet) -> None:
    """Neither the migrations nor the first key are made twice."""
    first, second = (each.client.get("/.well-known/jwks.json").json()["keys"] for each in (fleet.one, fleet.other))
    assert first == second
    assert len(first) == 1


def test_a_logout_on_one_is_refused_by_the_other_at_the_next_request(fleet: Fleet) -> None:
    """No server keeps an answer for itself, not once in a hundred sign-outs."""

    def sign_out(_: int) -> tuple[int, int, str]:
        person = Visitor(fleet.one).join()
        elsewhere = person.at(fleet.other)
        before = elsewhere.get("/v1/users/me").status_code
        return before, person.logout().status_code, elsewhere.get("/v1/users/me").json.get("type", "still alive")

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(sign_out, range(100))) == {(200, 204, REVOKED)}


def test_a_refresh_token_is_dead_on_the_other_too(fleet: Fleet) -> None:
    user = Visitor(fleet.one).join()
    assert user.logout().status_code == 204
    assert user.at(fleet.other).refresh().json["type"] == "/problems/session-ended"


def test_revoking_a_user_on_one_is_effective_on_the_other(fleet: Fleet) -> None:
    user = Visitor(fleet.other).join()
    bystander = Visitor(fleet.other).join()
    path = f"/v1/admin/users/{user.id}/revoke"
    assert fleet.admin.post(path).status_code == 204
    assert user.get("/v1/users/me").json["type"] == REVOKED
    assert user.refresh().status_code == 401
    assert bystander.get("/v1/users/me").status_code == 200
    assert user.login().status_code == 200
    assert user.at(fleet.one).get("/v1/users/me").status_code == 200


def test_of_200_simultaneous_refreshes_over_both_exactly_one_rotates(fleet: Fleet) -> None:
    """All others get the very same successor, byte for byte, and it works."""
    user = Visitor(fleet.one).join()
    token = user.refresh_token
    servers = [fleet.one, fleet.other] * 100
    calls = [lambda at=at: user.at(at).request("POST", "/v1/auth/refresh", token=token) for at in servers]
    answers = simultaneously(*calls)
    assert {each.status_code for each in answers} == {200}
    assert len({each.data for each in answers}) == 1
    user.keep(answers[0])
    assert jti(user.refresh_token) != jti(token)
    assert user.at(fleet.other).get("/v1/users/me").status_code == 200
    assert user.refresh().status_code == 200


def test_without_a_grace_window_one_refresh_wins_and_the_family_dies(fleet: Fleet) -> None:
    """200 copies of one token: one pair is given out, and it is dead too, for nobody can say who the thief is."""
    user = Visitor(fleet.strict).join()
    token = user.refresh_token
    answers = simultaneously(*[lambda: user.request("POST", "/v1/auth/refresh", token=token)] * 200)
    winners = [each for each in answers if each.status_code == 200]
    assert len(winners) == 1
    kinds = {each.json["type"] for each in answers if each.status_code != 200}
    assert "/problems/refresh-token-reused" in kinds
    assert kinds <= {"/problems/refresh-token-reused", "/problems/session-ended"}
    assert user.get("/v1/users/me").json["type"] == REVOKED
    user.keep(winners[0])
    assert user.get("/v1/users/me").json["type"] == REVOKED
    assert user.at(fleet.one).refresh().json["type"] == "/problems/session-ended"


def test_of_many_simultaneous_registrations_of_a_name_one_wins(fleet: Fleet) -> None:
    name = new_name()
    people = [Visitor(server, spelled) for server in (fleet.one, fleet.other) for spelled in (name, name.upper())] * 5
    answers = simultaneously(*[each.register for each in people])
    assert sorted(each.status_code for each in answers) == [201] + [409] * 19
    assert {each.json["type"] for each in answers if each.status_code == 409} == {"/problems/username-taken"}


def test_the_limit_of_sign_ins_counts_both_together(fleet: Fleet) -> None:
    """With Redis five guesses a minute are five, however many servers an attacker finds."""
    if not fleet.stores.redis_url:
        pytest.skip("without Redis every process counts alone, as it says at its start")
    user = Visitor(fleet.one)
    assert user.register().status_code == 201
    user.password = "Wrong-Horse-77"
    seats = [user, user.at(fleet.other)] * 10
    for seat in seats:
        seat.password = "Wrong-Horse-77"
    answers = simultaneously(*[seat.login for seat in seats])
    assert sorted(each.status_code for each in answers) == [401] * 5 + [429] * 15
    assert all(int(each.headers["Retry-After"]) > 0 for each in answers if each.status_code == 429)
