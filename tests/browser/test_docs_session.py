"""Whoever signs in with Try it out is signed in: no token is copied by hand, and none is left behind."""

import itertools
import re
from collections.abc import Callable

from playwright.sync_api import expect

from tests.actors import new_name
from tests.browser.conftest import Server
from tests.browser.docs_page import DELIVERIES, PASSWORD, DocsPage

COOKIES = {
    "body": set(),
    "hybrid": {"keycard_refresh", "keycard_csrf"},
    "cookie": {"keycard_access", "keycard_refresh", "keycard_csrf"},
}
# From each delivery to each other one.
ROUND = ["body", "hybrid", "cookie", "body", "cookie", "hybrid", "body"]


def test_what_is_refused_signs_nobody_in_and_nobody_out(docs: DocsPage) -> None:
    """And nobody who is not signed in tries to refresh."""
    docs.allow(401, 409, 422)
    assert docs.run("get_me")[0] == 401
    assert docs.run("register", {"username": "demo", "password": PASSWORD})[0] == 409
    assert docs.run("register", {"username": "x", "password": PASSWORD})[0] == 422
    docs.signed_out("Not signed in.")
    name = new_name()
    docs.join(name)
    assert docs.run("login", {"username": name, "password": "Wrong-Horse-7"})[0] == 401
    docs.signed_in_as(name)
    assert docs.run("get_me")[0] == 200
    assert docs.refreshes() == []


def test_signing_in_authorises_every_kind_of_call_until_logout(docs: DocsPage) -> None:
    """Reading, writing, refreshing: with the credentials that the delivery wants, and never with two.

    After logout the page has forgotten, the server has ended the session, and the browser has no cookie left.
    """
    docs.allow(401)
    for logged_out, delivery in enumerate(DELIVERIES):
        name = new_name()
        docs.join(name, delivery)
        _make_every_kind_of_call(docs, name, delivery)
        assert docs.refusals == [401] * logged_out
        assert docs.run("logout")[0] == 204
        docs.signed_out()
        assert docs.cookies() == set()
        status, body = docs.run("get_me")
        assert (status, body["type"]) == (401, "/problems/authentication-required")
        assert docs.run("get_session")[1] == {"authenticated": False}


def _make_every_kind_of_call(docs: DocsPage, name: str, delivery: str) -> None:
    assert docs.run("get_me")[1]["username"] == name
    assert docs.run("update_me", {"display_name": "Ada"})[1]["display_name"] == "Ada"
    assert docs.run("refresh")[0] == 200
    status, body = docs.run("get_session")
    assert (status, body["session"]["delivery"]) == (200, delivery)
    assert docs.run("reauthenticate", {"password": PASSWORD})[0] == 200
    assert docs.run("get_me")[0] == 200
    assert docs.run("change_password", {"current_password": PASSWORD, "new_password": "Battery-Staple-8"})[0] == 200
    assert docs.run("get_me")[0] == 200
    assert docs.run("refresh")[0] == 200
    docs.signed_in_as(name, delivery)


def test_the_button_signs_out_on_the_server_too(docs: DocsPage) -> None:
    for delivery in DELIVERIES:
        docs.join(new_name(), delivery)
        assert docs.cookies() == COOKIES[delivery]
        with docs.page.expect_response("**/v1/auth/logout") as ended:
            docs.click("#sign-out")
        assert ended.value.status == 204
        docs.signed_out()
        assert docs.cookies() == set()


def test_a_login_replaces_a_session_of_another_delivery(docs: DocsPage) -> None:
    """Cookies of the session before never make two credentials of the next one, and the server has ended it."""
    assert set(itertools.pairwise(ROUND)) == set(itertools.permutations(DELIVERIES, 2))
    docs.join(new_name(), ROUND[0])
    for then in ROUND[1:]:
        name = new_name()
        docs.register(name)
        docs.login(name, then)
        assert docs.cookies() == COOKIES[then]
        assert docs.run("get_me")[1]["username"] == name
        assert docs.run("refresh")[0] == 200
    assert docs.run("logout")[0] == 204
    assert docs.cookies() == set()


def test_tokens_in_the_body_do_not_survive_a_reload(docs: DocsPage) -> None:
    """They live in memory only."""
    docs.join(new_name())
    docs.visit()
    docs.signed_out("Not signed in.")
    assert docs.cookies() == set()


def test_a_session_in_cookies_goes_on_after_a_reload(docs: DocsPage) -> None:
    """The browser still has it, so the page says so."""
    for delivery in ("hybrid", "cookie"):
        name = new_name()
        docs.join(name, delivery)
        docs.visit()
        docs.signed_in_as(name, delivery)
        assert docs.run("update_me", {"display_name": "Again"})[0] == 200


def test_cookies_of_a_dead_session_are_tried_once(open_docs: Callable[..., DocsPage], server: Server) -> None:
    docs = open_docs(server, None)
    docs.allow(401)
    docs.page.context.add_cookies([{"name": "keycard_csrf", "value": "stale", "url": docs.url}])
    docs.visit()
    docs.signed_out("Not signed in.")
    docs.visit()
    assert len(docs.refreshes()) == 1


def test_a_token_of_ones_own_is_left_alone(docs: DocsPage) -> None:
    """What a person gives to the Authorize dialog is sent as it is, and the page's own session is dropped."""
    mine, theirs = new_name(), new_name()
    docs.register(theirs)
    answer = docs.page.request.post("/v1/auth/login", data={"username": theirs, "password": PASSWORD})
    docs.join(mine)
    docs.click(".btn.authorize")
    dialog = docs.page.locator(".dialog-ux")
    box = dialog.locator(".auth-container").filter(has_text="accessToken").first
    docs.click(box.get_by_role("button", name="Remove authorization"))
    docs.signed_out()
    box.locator("input").fill(answer.json()["access_token"])
    docs.click(box.get_by_role("button", name="Apply credentials"))
    docs.click(dialog.locator(".close-modal"))
    expect(docs.page.locator("#status")).to_have_text(re.compile("Authorize"))
    assert docs.run("get_me")[1]["username"] == theirs
