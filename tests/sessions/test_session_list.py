"""Where I am signed in, and ending it."""

import uuid
from datetime import UTC, datetime, timedelta

from flask import Flask

from tests.actors import Bearer

SESSIONS = "/v1/users/me/sessions"


def sessions(person: Bearer) -> list[dict]:
    return person.get(SESSIONS).json["items"]


def devices(app: Flask, count: int) -> list[Bearer]:
    """One person, signed in on several devices, the first sign-in first."""
    first = Bearer(app).join()
    others = [Bearer(app, first.name) for _ in range(count - 1)]
    for other in others:
        other.login()
    return [first, *others]


def session_id(person: Bearer) -> str:
    return person.get("/v1/auth/session").json["session"]["id"]


def test_a_session_is_shown_with_device_and_times(app: Flask, actor_class: type[Bearer], clock) -> None:
    person = actor_class(app)
    person.client.environ_base |= {"REMOTE_ADDR": "192.0.2.7", "HTTP_USER_AGENT": "Lynx/2.9"}
    signed_in = datetime.now(UTC)
    person.join()
    clock.shift(60)
    person.refresh()
    (found,) = sessions(person)
    assert uuid.UUID(found.pop("id"))
    times = {name: datetime.fromisoformat(found.pop(name)) for name in ("created_at", "last_used_at", "expires_at")}
    assert times == {
        "created_at": signed_in,
        "last_used_at": signed_in + timedelta(seconds=60),
        "expires_at": signed_in + timedelta(days=30),
    }
    assert found == {
        "current": True,
        "delivery": person.delivery,
        "ip_address": "192.0.2.7",
        "user_agent": "Lynx/2.9",
    }


def test_a_device_name_is_harmless_to_show(app: Flask) -> None:
    """Too long a name is cut, control characters are dropped, and no name is null."""
    for sent, shown in (("x" * 300, "x" * 255), ("a\x7fb\u0085c", "abc"), ("", None)):
        person = Bearer(app)
        person.client.environ_base["HTTP_USER_AGENT"] = sent
        assert sessions(person.join())[0]["user_agent"] == shown


def test_the_newest_session_comes_first_and_the_current_one_is_marked(app: Flask, clock) -> None:
    people = [Bearer(app).join()]
    for _ in range(2):
        clock.shift(1)
        people.append(Bearer(app, people[0].name))
        people[-1].login()
    newest_first = [session_id(person) for person in reversed(people)]
    assert [each["id"] for each in sessions(people[1])] == newest_first
    assert [each["current"] for each in sessions(people[1])] == [False, True, False]


def test_pages_hold_each_session_once(app: Flask, clock) -> None:
    """Also when all were opened in the same microsecond."""
    first, *_ = devices(app, 5)
    seen, cursor = [], None
    while True:
        query = {"limit": 2, **({"cursor": cursor} if cursor else {})}
        page = first.get(SESSIONS, query_string=query).json
        seen += [each["id"] for each in page["items"]]
        cursor = page["next_cursor"]
        if not cursor:
            break
    assert len(seen) == len(set(seen)) == 5
    assert seen == [each["id"] for each in sessions(first)]


def test_nobody_sees_the_sessions_of_somebody_else(user: Bearer, app: Flask) -> None:
    other = Bearer(app).join()
    assert [each["id"] for each in sessions(user)] == [session_id(user)]
    assert session_id(other) not in {each["id"] for each in sessions(user)}


def test_an_ended_or_expired_session_is_not_listed(app: Flask, clock) -> None:
    kept, ended, forgotten = devices(app, 3)
    ended.logout()
    clock.shift(6 * 86_400)
    kept.refresh()
    clock.shift(2 * 86_400)
    kept.refresh()
    assert [each["id"] for each in sessions(kept)] == [session_id(kept)]
    assert forgotten.refresh().status_code == 401


def test_ending_one_session_ends_its_tokens_and_no_others(person: Bearer, app: Flask) -> None:
    target, other = Bearer(app, person.name), Bearer(app, person.name)
    target.login()
    other.login()
    assert person.delete(f"{SESSIONS}/{session_id(target)}").status_code == 204
    assert target.get("/v1/users/me").json["type"] == "/problems/token-revoked"
    assert target.refresh().json["type"] == "/problems/session-ended"
    assert person.get("/v1/users/me").status_code == 200
    assert other.refresh().status_code == 200


def test_ending_the_current_session_signs_out(person: Bearer) -> None:
    assert person.delete(f"{SESSIONS}/{session_id(person)}").status_code == 204
    assert person.get("/v1/users/me").status_code == 401


def test_ending_a_session_twice_finds_nothing_the_second_time(app: Flask) -> None:
    first, second = devices(app, 2)
    url = f"{SESSIONS}/{session_id(second)}"
    assert first.delete(url).status_code == 204
    answer = first.delete(url)
    assert (answer.status_code, answer.json["type"]) == (404, "/problems/no-such-session")


def test_the_session_of_another_person_answers_as_if_there_were_none(person: Bearer, app: Flask) -> None:
    """It is unharmed, and the answer is that for an id that nobody has."""
    other = Bearer(app).join()
    theirs = person.delete(f"{SESSIONS}/{session_id(other)}")
    nobodys = person.delete(f"{SESSIONS}/{uuid.uuid4()}")
    assert theirs.status_code == nobodys.status_code == 404
    assert {**theirs.json, "request_id": ""} == {**nobodys.json, "request_id": ""}
    assert other.get("/v1/users/me").status_code == 200
    assert other.refresh().status_code == 200


def test_an_administrator_is_no_exception(admin: Bearer, user: Bearer) -> None:
    assert admin.delete(f"{SESSIONS}/{session_id(user)}").status_code == 404
    assert user.get("/v1/users/me").status_code == 200


def test_what_is_no_id_is_not_found(user: Bearer) -> None:
    assert user.delete(f"{SESSIONS}/1").json["type"] == "/problems/not-found"


def test_ending_all_others_keeps_this_one(person: Bearer, app: Flask) -> None:
    others = [Bearer(app, person.name) for _ in range(2)]
    stranger = Bearer(app).join()
    for other in others:
        other.login()
    assert person.delete(SESSIONS).status_code == 204
    for other in others:
        assert other.get("/v1/users/me").json["type"] == "/problems/token-revoked"
        assert other.refresh().json["type"] == "/problems/session-ended"
    assert len(sessions(person)) == 1
    assert person.refresh().status_code == 200
    assert stranger.get("/v1/users/me").status_code == 200
    assert person.delete(SESSIONS).status_code == 204


def test_an_anonymous_caller_sees_and_ends_nothing(anybody: Bearer) -> None:
    for answer in (anybody.get(SESSIONS), anybody.delete(SESSIONS), anybody.delete(f"{SESSIONS}/{uuid.uuid4()}")):
        assert answer.status_code == 401
