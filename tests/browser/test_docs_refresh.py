"""Tokens are renewed before they expire or when they are refused, once for whoever waits.

Where time matters, the clock of the page stands still and is moved by hand: how long anything takes here changes nothing.
"""

import contextlib
from collections.abc import Callable, Iterator

import httpx
import pytest
from playwright.sync_api import Response, expect

from tests.actors import new_name
from tests.browser.conftest import Server
from tests.browser.docs_page import DELIVERIES, GUARD_SECONDS, PASSWORD, DocsPage

EVERY_DELIVERY = pytest.mark.parametrize("delivery", DELIVERIES)
EXECUTE = "(ids) => ids.forEach((id) => document.querySelector(`.opblock[id$='-${id}'] button.execute`).click())"
TOGETHER = {"get_me": "/v1/users/me", "get_session": "/v1/auth/session", "list_sessions": "/v1/users/me/sessions"}
REFRESH = "**/v1/auth/refresh"


@EVERY_DELIVERY
def test_a_token_is_refreshed_before_it_expires(open_docs: Callable[..., DocsPage], server: Server, delivery: str) -> None:
    """Half a minute before the end of a quarter of an hour, as the status line counts down, and again after as long.

    Nobody is ever refused.
    """
    docs = _signed_in(open_docs, server, delivery, "get_me")
    _renewed_by(docs, docs.sleep)
    before = len(docs.refreshes())
    countdown = docs.page.locator("#countdown")
    for times in (1, 2):
        expect(countdown).to_have_text(", token refreshes in 14:30")
        docs.let_pass(869)
        expect(countdown).to_have_text(", token refreshes in 0:01")
        assert _renewed_by(docs, lambda: docs.let_pass(1)).json()["expires_in"] == 900
        assert len(docs.refreshes()) == before + times
    expect(countdown).to_have_text(", token refreshes in 14:30")
    assert docs.run("get_me")[0] == 200
    assert docs.refusals == []


@EVERY_DELIVERY
def test_calls_that_are_refused_together_share_one_refresh(
    open_docs: Callable[..., DocsPage], server: Server, hasty_server: Server, delivery: str
) -> None:
    """The page slept while its token died: it learns so from a 401, and then sends each call once more.

    What was sent again is what the page shows: the curl line carries the token that was accepted.
    """
    docs = _signed_in(open_docs, server, delivery, *TOGETHER)
    docs.allow(401)
    _oversleep(docs, hasty_server)
    before, sent_before = len(docs.refreshes()), _sent(docs)
    docs.page.evaluate(EXECUTE, list(TOGETHER))
    for operation in TOGETHER:
        docs.operation(operation).locator(".live-responses-table").wait_for()
    assert {operation: docs.answer(operation)[0] for operation in TOGETHER} == dict.fromkeys(TOGETHER, 200)
    assert len(TOGETHER) < _sent(docs) - sent_before <= 2 * len(TOGETHER)
    assert len(docs.refreshes()) == before + 1
    accepted = docs.calls("GET", "/v1/users/me")[-1].headers.get("authorization", "")
    assert accepted.startswith("Bearer ") == (delivery != "cookie")
    assert accepted in docs.curl("get_me")


def _sent(docs: DocsPage) -> int:
    return sum(len(docs.calls("GET", path)) for path in TOGETHER.values())


def _signed_in(open_docs: Callable[..., DocsPage], server: Server, delivery: str, *operations: str) -> DocsPage:
    """Somebody with a session, and operations open that can be executed; the page has a clock of its own."""
    docs = open_docs(server, None, own_clock=True)
    if delivery == "body":
        docs.visit().sign_in_as("demo")
    else:
        name = new_name()
        docs.register(name)
        credentials = {"username": name, "password": PASSWORD, "delivery": delivery}
        assert docs.page.request.post("/v1/auth/login", data=credentials).status == 200
        docs.visit().signed_in_as(name, delivery)
    for operation in operations:
        docs.expand(operation)
    return docs


def _renewed_by(docs: DocsPage, event: Callable[[], None]) -> Response:
    with docs.page.expect_response(REFRESH) as renewed:
        event()
    assert renewed.value.status == 200
    return renewed.value


def _oversleep(docs: DocsPage, hasty_server: Server) -> None:
    """Get tokens that live for a second, and stop the clock of the page until the server refuses them."""
    docs.page.route(REFRESH, lambda route: route.fulfill(response=route.fetch(url=f"{hasty_server.url}/v1/auth/refresh")))
    renewed = _renewed_by(docs, docs.sleep).json()
    docs.page.unroute(REFRESH)
    assert renewed["expires_in"] == 1
    expect(docs.page.locator("#countdown")).to_have_text(", token refreshes in 0:01")
    headers = {"Authorization": f"Bearer {renewed['access_token']}"} if "access_token" in renewed else {}
    docs.until(lambda: docs.page.request.get("/v1/users/me", headers=headers).status == 401)


def test_a_role_change_costs_one_refresh(docs: DocsPage, server: Server) -> None:
    """A token that was revoked for new roles is exchanged, not taken for the end of the session."""
    docs.allow(401)
    docs.join(new_name())
    user_id = docs.run("get_me")[1]["id"]
    with _elsewhere(server, "demo-admin", (server.folder / "demo-password").read_text()) as admin:
        assert admin.put(f"/v1/admin/users/{user_id}/roles", json={"roles": ["user", "admin"]}).status_code == 200
    status, body = docs.run("get_me")
    assert (status, body["roles"]) == (200, ["admin", "user"])
    assert len(docs.refreshes()) == 1


def test_the_end_of_the_session_elsewhere_is_noticed(docs: DocsPage, server: Server) -> None:
    """One refresh is tried; when that is refused too, the page says so and forgets. In each delivery."""
    docs.allow(401)
    for tried, delivery in enumerate(DELIVERIES, 1):
        name = new_name()
        docs.register(name)
        docs.login(name, delivery)
        with _elsewhere(server, name, PASSWORD) as other:
            assert other.delete("/v1/users/me/sessions").status_code == 204
        assert docs.run("get_me")[0] == 401
        docs.signed_out("The session has ended. Sign in again.")
        assert len(docs.refreshes()) == tried


@contextlib.contextmanager
def _elsewhere(server: Server, name: str, password: str) -> Iterator[httpx.Client]:
    """Signed in on another device."""
    with httpx.Client(base_url=server.url, timeout=GUARD_SECONDS) as client:
        answer = client.post("/v1/auth/login", json={"username": name, "password": password})
        client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        yield client
