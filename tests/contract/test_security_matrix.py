"""Security read back from the document: every operation is called with nothing, with rubbish, with another kind of token,
with a dead one, without its role, and rightly. (schemathesis does not notice a missing role check.)

No operation is listed here: what each one demands is read from its `security`, `x-required-roles` and `x-fresh-token`.
"""

import pytest
from flask import Flask

from api.config import Settings
from tests.actors import Bearer, Browser, new_name
from tests.contract.operations import Operation, operations


def _operations() -> list[Operation]:
    import tempfile

    from api import create_app

    with tempfile.TemporaryDirectory() as folder:
        return operations(create_app(Settings(instance_path=folder)))


ALL = _operations()
SECURED = [each for each in ALL if each.schemes]
CLOSED = [each for each in SECURED if not each.anonymous]
every = pytest.mark.parametrize("operation", ALL, ids=str)
every_secured = pytest.mark.parametrize("operation", SECURED, ids=str)
every_closed = pytest.mark.parametrize("operation", CLOSED, ids=str)
# What examples are told that carry a secret in the body: there is nobody whose secret that is.
WRONG_IN_THE_BODY = {"invalid-credentials", "one-time-token-refused"}
UNSAFE = [each for each in SECURED if each.method in {"post", "put", "patch", "delete"}]


def slug(response) -> str:
    assert response.mimetype == "application/problem+json", response.text
    return response.json["type"].removeprefix("/problems/")


def joined(app: Flask, operation: Operation, kind: type[Bearer] = Bearer) -> Bearer:
    """Somebody who holds every role that the operation demands."""
    name = new_name()
    return kind(app, name).join(roles=operation.roles or None, email=f"{name}@example.com")


def test_the_matrix_is_not_empty() -> None:
    assert len(ALL) > 20
    assert any(each.roles for each in ALL)
    assert any(each.anonymous and each.schemes for each in ALL)


@every
def test_without_credentials(app: Flask, operation: Operation) -> None:
    """Public means public; everything else is a 401 that says what is missing."""
    answer = operation.call(Bearer(app))
    if operation.anonymous:
        assert answer.status_code not in {401, 403} or slug(answer) in WRONG_IN_THE_BODY
    else:
        assert (answer.status_code, slug(answer)) == (401, "authentication-required")


@every_secured
@pytest.mark.parametrize("rubbish", ["x", "a.b.c", "null"])
def test_with_rubbish_for_a_token(app: Flask, operation: Operation, rubbish: str) -> None:
    """A bad token is refused, also where none is needed."""
    assert slug(operation.call(Bearer(app), token=rubbish)) == "invalid-token"


@every_secured
def test_with_rubbish_in_the_cookies(app: Flask, operation: Operation) -> None:
    actor = Bearer(app)
    for name in ("keycard_access", "keycard_refresh"):
        actor.client.set_cookie(name, "a.b.c", path="/")
    answer = operation.call(actor, headers={"X-CSRF-TOKEN": "rubbish"})
    assert (answer.status_code, slug(answer)) == (401, "invalid-token")


@every_secured
def test_with_the_other_kind_of_token(app: Flask, operation: Operation) -> None:
    """A refresh token opens nothing but what declares it, an access token does not refresh."""
    actor = joined(app, operation)
    for scheme, token in (("accessToken", actor.access_token), ("refreshToken", actor.refresh_token)):
        if scheme not in operation.schemes:
            assert slug(operation.call(actor, token=token)) == "invalid-token"


@every_secured
def test_with_the_token_of_an_ended_session(app: Flask, operation: Operation) -> None:
    """Dead is dead at the next request. Only what documents no such answer may take it (signing out twice is no error)."""
    actor = joined(app, operation)
    assert actor.logout().status_code == 204
    answer = operation.call(actor, token=operation.token_of(actor))
    expected = operation.slugs(401) & {"token-revoked", "session-ended"}
    if expected:
        assert slug(answer) in expected
    else:
        assert answer.status_code < 300


@pytest.mark.parametrize("operation", [each for each in SECURED if each.roles], ids=str)
def test_without_the_role(app: Flask, operation: Operation) -> None:
    """Being somebody is not enough, whatever else is in the request."""
    answer = operation.call(Bearer(app).join(), token=None)
    assert slug(answer) == "authentication-required"
    person = Bearer(app).join()
    answer = operation.call(person, token=person.access_token)
    assert (answer.status_code, slug(answer)) == (403, "role-required")


@pytest.mark.parametrize("operation", [each for each in SECURED if each.fresh], ids=str)
def test_with_a_token_that_is_not_fresh(app: Flask, operation: Operation) -> None:
    actor = joined(app, operation)
    actor.refresh()
    assert slug(operation.call(actor, token=actor.access_token)) == "fresh-token-required"


@pytest.mark.parametrize("operation", UNSAFE, ids=str)
def test_by_cookie_without_the_csrf_value(app: Flask, operation: Operation) -> None:
    """A form on another site cannot act for somebody."""
    browser = joined(app, operation, Browser)
    assert "csrfToken" in operation.schemes
    # Where none is demanded, a cookie without the value is no credential.
    assert slug(operation.call(browser)) in (WRONG_IN_THE_BODY if operation.anonymous else {"csrf-failed"})
    assert slug(operation.call(browser, headers={"X-CSRF-TOKEN": "rubbish"})) == "csrf-failed"


@pytest.mark.parametrize("kind", [Bearer, Browser], ids=["body", "cookie"])
@every
def test_with_the_right_credentials(app: Flask, operation: Operation, kind: type[Bearer]) -> None:
    """Who presents what the document demands gets past every guard; a thing that does not exist is a 404."""
    actor = joined(app, operation, kind)
    Bearer(app, "ada").register()
    own = {"user_id": Bearer(app).join().id, "session_id": actor.get("/v1/auth/session").json["session"]["id"]}
    answer = operation.call(
        actor,
        url=operation.url(**own),
        token=operation.token_of(actor) if operation.schemes and kind is Bearer else None,
        headers={"X-CSRF-TOKEN": actor.csrf_token} if kind is Browser and operation.schemes else {},
    )
    assert answer.status_code < 300 or slug(answer) in WRONG_IN_THE_BODY & operation.slugs(403), answer.text


@pytest.mark.parametrize("operation", [each for each in SECURED if "session_id" in each.path], ids=str)
def test_with_the_id_of_another_persons_thing(app: Flask, operation: Operation) -> None:
    """It answers as if it did not exist, and nothing happens to it."""
    owner, stranger = Bearer(app).join(), Bearer(app).join()
    session_id = owner.get("/v1/auth/session").json["session"]["id"]
    answer = operation.call(stranger, url=operation.url(session_id=session_id), token=stranger.access_token)
    assert answer.status_code == 404
    assert owner.get("/v1/users/me").status_code == 200


@pytest.fixture(scope="module")
def strict(new_app) -> Flask:
    """An app in which every rate is one in a day."""
    rates = {
        f"ratelimit_{name}": "1/day" for name in ("login_account", "login_address", "password", "register", "mail", "general")
    }
    return new_app(ratelimit_enabled=True, trusted_hops=1, **rates)


@every
def test_limits_are_where_the_document_says(strict: Flask, operation: Operation) -> None:
    """The second call is a 429 exactly where one is documented."""
    home = {"X-Forwarded-For": f"2001:db8:0:{ALL.index(operation) + 1:x}::1"}
    actor = _joined_from_elsewhere(strict, operation, "ffff")
    token = operation.token_of(actor) if operation.schemes else None
    first = actor.keep(operation.call(actor, token=token, headers=home))
    assert first.status_code != 429
    token = operation.token_of(actor) if operation.schemes else None
    again = operation.call(actor, token=token, headers=home)
    if again.status_code == 401 and first.status_code == 204:  # it has ended the caller; somebody else calls from their home
        other = _joined_from_elsewhere(strict, operation, "fffe")
        again = operation.call(other, token=operation.token_of(other), headers=home)
    assert (again.status_code == 429) is ("429" in operation.declared["responses"])
    assert ("RateLimit-Policy" in first.headers) is ("429" in operation.declared["responses"])


def _joined_from_elsewhere(app: Flask, operation: Operation, network: str) -> Bearer:
    """Joined from addresses of their own, so that only the calls under test are counted."""
    actor = Bearer(app)
    original = actor.request
    far_away = {"X-Forwarded-For": f"2001:db8:{network}:{ALL.index(operation) + 1:x}::1"}
    actor.request = lambda *a, **k: original(*a, **{**k, "headers": {**far_away, **k.get("headers", {})}})  # type: ignore[method-assign]
    return actor.join(roles=operation.roles or None)
