"""What a caller presents, and where: headers, cookies, the CSRF value. One credential, in one place, or none."""

from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask

from tests.actors import Bearer, Browser, Hybrid
from tests.http.test_errors import Operation, everything, is_problem, operations

ADMIN = ["user", "admin"]
BAD_HEADERS = (
    "", " ", "Bearer", "Bearer ", "Bearer  {}", "Bearer\t{}", "Bearer {},", "Bearer {} x", "Bearer {}, Bearer {}",
    "Bearer {},Bearer {}", "Bearer {}, Basic eDp5", "Basic eDp5, Bearer {}", "Basic eDp5", "Basic {}",
    "Digest username=x", "Token {}", "JWT {}", "DPoP {}", "Bearer={}", "Bearer:{}", "Bearer token={}", '"Bearer {}"',
    "{}", "Bearer null", "Bearer undefined", "Bearer t\u00f6ken", "B\u00ebarer {}", "Bearer \u0430\u0435",
    " Bearer {}", "Bearer {}\x00", "Bearer " + "A" * 100_000, ", Bearer {}", "Bearer Bearer {}",
)  # fmt: skip


@pytest.fixture(scope="module")
def asked(app: Flask) -> list[Operation]:
    return operations(app)


@pytest.fixture
def browser(app: Flask) -> Browser:
    return Browser(app).join(roles=ADMIN)


@pytest.fixture
def nothing_changes(app: Flask, browser: Browser, user: Bearer) -> Iterator[None]:
    """Whatever the test does, the database is afterwards what it was before."""
    before = everything(app)
    yield
    assert everything(app) == before


def secured(asked: list[Operation], scheme: str = "accessToken") -> list[Operation]:
    found = [each for each in asked if scheme in each.secured_by]
    assert found
    return found


def body_of(operation: Operation) -> dict[str, Any]:
    return {"json": operation.example} if operation.body else {}


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "bEaReR"])
def test_the_name_of_the_scheme_has_no_case(user: Bearer, scheme: str) -> None:
    """RFC 9110, section 11.1."""
    answer = user.request("GET", "/v1/users/me", headers={"Authorization": f"{scheme} {user.access_token}"})
    assert answer.status_code == 200


@pytest.mark.parametrize("form", BAD_HEADERS, ids=lambda form: ascii(form[:24]))
def test_a_header_of_another_form_is_refused(asked, user: Bearer, nothing_changes: None, form: str) -> None:
    """On every secured operation, the optional one included: what was sent must be good."""
    for operation in secured(asked):
        headers = {"Authorization": form.replace("{}", user.access_token or "")}
        answer = user.request(operation.method, operation.filled(), headers=headers, **body_of(operation))
        assert is_problem(answer, 401, "invalid-token"), operation.name
        assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]


def test_two_headers_are_refused(asked, user: Bearer, nothing_changes: None) -> None:
    """Also when both are good, and when they are the same."""
    header = ("Authorization", f"Bearer {user.access_token}")
    for second in (header, ("Authorization", "Bearer x"), ("Authorization", "")):
        for pair in ([header, second], [second, header]):
            answer = user.client.open("/v1/users/me", method="GET", headers=pair)
            assert is_problem(answer, 401, "invalid-token")


def test_without_a_credential_every_secured_operation_asks_for_one(asked, anybody: Bearer, subtests: Any) -> None:
    for operation in (each for each in asked if each.secured_by):
        with subtests.test(operation=operation.name):
            answer = anybody.request(operation.method, operation.filled(), **body_of(operation))
            if operation.is_optional:
                assert answer.status_code in {200, 403}
                assert answer.json.get("type") != "/problems/authentication-required"
            else:
                assert is_problem(answer, 401, "authentication-required")
                assert answer.headers["WWW-Authenticate"] == 'Bearer realm="keycard"'


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"\xff", b"[" * 30_000, b'{"a":NaN}', b"{}", b"x" * 2**20], ids=lambda raw: f"{raw[:9]} {len(raw)}"
)
def test_credentials_are_judged_before_the_body(asked, anybody: Bearer, nothing_changes: None, subtests: Any, raw: bytes) -> None:
    """A stranger learns nothing about the rules of a body, and has nothing parsed."""
    for operation in (each for each in asked if each.secured_by and each.body):
        for label in ("application/json", "text/plain"):
            with subtests.test(operation=operation.name, label=label):
                sent = {"data": raw, "content_type": label}
                path = operation.filled()
                assert is_problem(anybody.request(operation.method, path, token="a.b.c", **sent), 401, "invalid-token")
                if not operation.is_optional:
                    assert is_problem(anybody.request(operation.method, path, **sent), 401, "authentication-required")


def test_a_role_is_judged_before_the_body_and_before_the_id(asked, user: Bearer, nothing_changes: None, subtests: Any) -> None:
    for operation in (each for each in asked if "x-required-roles" in each.declared):
        with subtests.test(operation=operation.name):
            answer = user.signed_in(operation.method, operation.filled(), data=b"{", content_type="application/json")
            assert is_problem(answer, 403, "role-required")
            assert 'error="insufficient_scope"' in answer.headers["WWW-Authenticate"]


def test_a_header_beside_an_access_cookie_is_refused(
    asked, browser: Browser, user: Bearer, nothing_changes: None, subtests: Any
) -> None:
    """Whatever is in the header, also the very same token: which of the two is meant cannot be told."""
    own = browser.client.get_cookie("keycard_access")
    assert own
    for operation in secured(asked, "accessCookie"):
        for value in (f"Bearer {user.access_token}", f"Bearer {own.value}", "Bearer x", "Basic eDp5", ""):
            with subtests.test(operation=operation.name, header=value[:12]):
                headers = {"Authorization": value, **browser.csrf()}
                answer = browser.request(operation.method, operation.filled(), headers=headers, **body_of(operation))
                assert is_problem(answer, 401, "multiple-credentials")
                assert 'error="invalid_request"' in answer.headers["WWW-Authenticate"]


@pytest.mark.parametrize("actor", [Hybrid, Browser])
def test_a_header_beside_a_refresh_cookie_does_not_refresh(app: Flask, user: Bearer, actor: type[Hybrid]) -> None:
    """Neither of the two is spent."""
    person = actor(app).join()
    answer = person.request("POST", "/v1/auth/refresh", token=user.refresh_token, headers=person.csrf())
    assert is_problem(answer, 401, "multiple-credentials")
    assert person.refresh().status_code == 200
    assert user.refresh().status_code == 200


@pytest.mark.parametrize("header", ["", "Basic eDp5", "Bearer x", "Bearer a.b.c", "Bearer"])
def test_a_bad_header_never_falls_back_to_a_good_cookie(app: Flask, header: str) -> None:
    """On logout the refresh cookie may travel beside a header, but it does not stand in for a bad one."""
    person = Hybrid(app).join()
    headers = {"Authorization": header, **person.csrf()}
    assert is_problem(person.request("DELETE", "/v1/auth/logout", headers=headers), 401, "invalid-token")
    assert person.request("GET", "/v1/auth/session", headers=headers).status_code == 401
    assert person.get("/v1/users/me").status_code == 200
    assert person.refresh().status_code == 200


def test_an_empty_cookie_is_no_credential(user: Bearer) -> None:
    """A browser may send one that was cleared; it counts neither as a bad nor as a second credential."""
    cleared = {"Cookie": "keycard_access=; keycard_refresh="}
    strange = user.app.test_client(use_cookies=False)
    assert is_problem(strange.get("/v1/users/me", headers=cleared), 401, "authentication-required")
    headers = {**cleared, "Authorization": f"Bearer {user.access_token}"}
    assert strange.get("/v1/users/me", headers=headers).status_code == 200


def test_signing_out_in_hybrid_delivery_works_with_both_and_with_either(app: Flask) -> None:
    """A single-page app sends its access token, and the browser adds the refresh cookie to it."""
    both, cookie_alone = Hybrid(app).join(), Hybrid(app).join()
    assert both.logout().status_code == 204
    assert cookie_alone.request("DELETE", "/v1/auth/logout", headers=cookie_alone.csrf()).status_code == 204
    for person in (both, cookie_alone):
        assert person.client.get_cookie("keycard_refresh") is None
        assert is_problem(person.get("/v1/users/me"), 401, "token-revoked")
        assert person.refresh().status_code == 401


@pytest.mark.parametrize("name", ["access_token", "token", "jwt", "bearer", "authorization", "keycard_access", "refresh_token"])
def test_a_token_in_a_query_string_or_a_body_is_none(anybody: Bearer, user: Bearer, name: str) -> None:
    """Addresses end in logs and histories; a token there is not looked at, by any name."""
    for value in (user.access_token, f"Bearer {user.access_token}", user.refresh_token):
        for place in ({"query_string": {name: value}}, {"json": {name: value}}, {"data": {name: value}}):
            assert is_problem(anybody.request("GET", "/v1/users/me", **place), 401, "authentication-required")
            assert is_problem(anybody.request("POST", "/v1/auth/refresh", **place), 401, "authentication-required")
            assert is_problem(anybody.request("DELETE", "/v1/auth/logout", **place), 401, "authentication-required")
            assert anybody.request("GET", "/v1/auth/session", **place).json == {"authenticated": False}
    assert user.refresh().status_code == 200


def wrong_csrf_values(browser: Browser) -> dict[str, str | None]:
    """The last one is of the same person, signed in elsewhere: the value is bound to the session, not to the person."""
    own = browser.csrf_token or ""
    elsewhere = Browser(browser.app, browser.name)
    assert elsewhere.login().status_code == 200
    wrong = {"none": None, "empty": "", "wrong": "x" * len(own), "cut": own[:-1], "longer": own + "x",
             "other case": own.swapcase(),
             "not ASCII": "\u00fc" * 32, "of another session": elsewhere.csrf_token}  # fmt: skip
    assert own not in wrong.values()
    return wrong


def test_nothing_that_changes_something_passes_without_the_csrf_value(app: Flask, asked, browser: Browser, subtests: Any) -> None:
    """A page of another site can make a browser send the cookies, not the value of this session."""
    unsafe = [each for each in asked if "csrfToken" in each.secured_by]
    assert {each.method for each in unsafe} == {"POST", "PUT", "PATCH", "DELETE"}
    wrong = wrong_csrf_values(browser)
    before = everything(app)
    for operation in unsafe:
        for kind, value in wrong.items():
            with subtests.test(operation=operation.name, csrf=kind):
                headers = {} if value is None else {"X-CSRF-TOKEN": value}
                answer = browser.request(operation.method, operation.filled(), headers=headers, **body_of(operation))
                if operation.is_optional and not value:  # the cookie counts for nothing
                    assert is_problem(answer, 403, "one-time-token-refused")
                    continue
                assert is_problem(answer, 403, "csrf-failed")
                assert "Set-Cookie" not in answer.headers
    assert everything(app) == before


@pytest.mark.parametrize("actor", [Hybrid, Browser])
def test_a_refresh_without_the_csrf_value_spends_nothing(app: Flask, actor: type[Hybrid]) -> None:
    person = actor(app).join()
    before = everything(app)
    for headers in ({}, {"X-CSRF-TOKEN": "x" * 32}, {"X-CSRF-TOKEN": other_csrf(app)}):
        for method, path in (("POST", "/v1/auth/refresh"), ("DELETE", "/v1/auth/logout")):
            assert is_problem(person.request(method, path, headers=headers), 403, "csrf-failed")
    assert before["sessions"] <= everything(app)["sessions"]
    assert person.refresh().status_code == 200


def other_csrf(app: Flask) -> str:
    return Browser(app).join().csrf_token or ""


def test_the_csrf_value_in_a_form_a_query_or_a_cookie_alone_is_none(browser: Browser) -> None:
    """Those a page of another site can make a browser send."""
    value = browser.csrf_token
    for place in ({"data": {"csrf_token": value}}, {"query_string": {"csrf_token": value}}, {"json": {"csrf_token": value}}):
        assert is_problem(browser.request("DELETE", "/v1/users/me/sessions", **place), 403, "csrf-failed")


def test_with_the_csrf_value_the_same_calls_pass(asked, browser: Browser, subtests: Any) -> None:
    """The opposite of the refusals above: not one of them was for another reason."""
    ending = {"refresh", "logout", "delete_me", "reauthenticate", "change_password"}  # after these the value is another one
    last = [each for each in asked if "csrfToken" in each.secured_by and each.name not in ending]
    for operation in last:
        with subtests.test(operation=operation.name):
            answer = browser.signed_in(operation.method, operation.filled(), headers=operation.headers, **body_of(operation))
            assert answer.status_code in {200, 201, 202, 204, 403, 404, 409, 422}
            assert not answer.is_json or answer.json.get("type") != "/problems/csrf-failed"
    assert browser.reauthenticate().status_code == 200
    assert browser.refresh().status_code == 200
    assert browser.logout().status_code == 204


def test_reading_needs_no_csrf_value(asked, browser: Browser, nothing_changes: None, subtests: Any) -> None:
    for operation in secured(asked, "accessCookie"):
        if operation.method == "GET":
            with subtests.test(operation=operation.name):
                for headers in ({}, {"X-CSRF-TOKEN": "wrong"}):
                    assert browser.request("GET", operation.filled(browser.id), headers=headers).status_code == 200


def test_a_bearer_needs_no_csrf_value(user: Bearer) -> None:
    """No browser adds an Authorization header by itself."""
    assert user.patch("/v1/users/me", json={"display_name": "Ada"}).status_code == 200
    assert (
        user.patch("/v1/users/me", json={"display_name": "Eve"}, headers={"X-CSRF-TOKEN": "wrong"}).json["display_name"] == "Eve"
    )
