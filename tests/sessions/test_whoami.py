"""Who is calling: the operation that works with and without a token."""

from flask import Flask

from tests.actors import Bearer, Browser

SESSION = "/v1/auth/session"


def test_an_anonymous_caller_is_nobody(anybody: Bearer) -> None:
    answer = anybody.get(SESSION)
    assert (answer.status_code, answer.json) == (200, {"authenticated": False})


def test_a_signed_in_caller_is_told_who_and_in_which_session(person: Bearer) -> None:
    body = person.get(SESSION).json
    assert set(body) == {"authenticated", "user", "session"}
    assert body["authenticated"] is True
    assert body["user"] == person.get("/v1/users/me").json
    assert body["session"]["current"] is True
    assert body["session"] == person.get("/v1/users/me/sessions").json["items"][0]


def test_a_bad_token_is_refused_and_not_taken_for_none(anybody: Bearer) -> None:
    answer = anybody.request("GET", SESSION, token="a.b.c")
    assert (answer.status_code, answer.json["type"]) == (401, "/problems/invalid-token")


def test_a_bad_cookie_is_refused_and_not_taken_for_none(app: Flask) -> None:
    person = Browser(app).join()
    person.client.set_cookie("keycard_access", "a.b.c")
    assert person.get(SESSION).json["type"] == "/problems/invalid-token"


def test_another_scheme_is_refused_and_not_taken_for_none(anybody: Bearer) -> None:
    answer = anybody.request("GET", SESSION, headers={"Authorization": "Basic YTpi"})
    assert answer.json["type"] == "/problems/invalid-token"


def test_an_expired_token_is_refused(app: Flask, actor_class: type[Bearer], clock) -> None:
    person = actor_class(app).join()
    token = person.access_token or person.client.get_cookie("keycard_access").value
    clock.shift(901)
    answer = Bearer(app).request("GET", SESSION, token=token)
    assert answer.json["type"] == "/problems/token-expired"


def test_a_browser_whose_cookie_has_expired_is_anonymous(app: Flask) -> None:
    """The cookie lives exactly as long as the token in it, so a browser never sends an expired one."""
    person = Browser(app).join()
    assert person.client.get_cookie("keycard_access").max_age == 900
    person.client.delete_cookie("keycard_access")
    assert person.get(SESSION).json == {"authenticated": False}


def test_a_revoked_token_is_refused(user: Bearer) -> None:
    user.logout()
    assert user.get(SESSION).json["type"] == "/problems/token-revoked"


def test_a_refresh_token_does_not_say_who_is_calling(user: Bearer) -> None:
    answer = user.request("GET", SESSION, token=user.refresh_token)
    assert answer.json["type"] == "/problems/invalid-token"


def test_two_credentials_at_once_are_refused(app: Flask) -> None:
    """Which of the two is meant cannot be told."""
    person, other = Browser(app).join(), Bearer(app).join()
    answer = person.request("GET", SESSION, token=other.access_token)
    assert (answer.status_code, answer.json["type"]) == (401, "/problems/multiple-credentials")
