"""The demo accounts: one click in development, not there in production."""

from collections.abc import Callable

import httpx
import pytest
from playwright.sync_api import expect

from tests.actors import new_name
from tests.browser.conftest import Server
from tests.browser.docs_page import GUARD_SECONDS, DocsPage

PRODUCTION = {
    "env": "production",
    "public_url": "https://auth.example.com",
    "smtp_url": "smtps://mail.example.com",
    "mail_from": "Keycard <no-reply@example.com>",
    "ratelimit_enabled": "true",
    "argon2_memory_cost": 19_456,
    "argon2_time_cost": 2,
}


def test_a_demo_account_reaches_its_profile_within_three_clicks(docs: DocsPage) -> None:
    """Sign in, open the operation, execute it. The buttons to sign in give way to the one to sign out, and come back."""
    docs.sign_in_as("demo")
    status, body = docs.run("get_me")
    assert (status, body["username"], body["roles"]) == (200, "demo", ["user"])
    assert docs.clicks <= 3
    expect(docs.page.locator(".facts #delivery")).to_have_text("body")
    expect(docs.page.locator("[data-demo]").first).to_be_hidden()
    docs.click("#sign-out")
    docs.signed_out()
    expect(docs.page.locator("[data-demo]")).to_have_count(2)
    expect(docs.page.locator("[data-demo]").first).to_be_visible()


def test_the_admin_account_may_administer_and_the_other_may_not(docs: DocsPage) -> None:
    docs.allow(403)
    docs.sign_in_as("demo-admin")
    docs.expand("list_users").locator("input[placeholder='q']").fill("demo")
    status, body = docs.run("list_users")
    assert status == 200
    assert {each["username"] for each in body["items"]} == {"demo", "demo-admin"}
    docs.expand("set_user_roles").locator("input[placeholder='user_id']").fill(docs.register(new_name()))
    status, body = docs.run("set_user_roles", {"roles": ["user", "admin"]})
    assert (status, body["roles"]) == (200, ["admin", "user"])
    docs.click("#sign-out")
    docs.signed_out()
    docs.sign_in_as("demo")
    assert docs.run("list_users")[0] == 403


@pytest.fixture(scope="module")
def promoted(start: Callable[..., Server]) -> tuple[Server, str]:
    """A production server on a database that served development before, and the password of the demo accounts there."""
    development = start()
    password = (development.folder / "demo-password").read_text()
    assert _login(development, "demo-admin", password) == 200
    return start(folder=development.folder, **PRODUCTION), password


def test_production_offers_no_demo_accounts(open_docs: Callable[..., DocsPage], promoted: tuple[Server, str]) -> None:
    server, password = promoted
    docs = open_docs(server)
    assert docs.page.locator("[data-demo]").count() == 0
    assert password not in docs.page.content()
    expect(docs.page.locator(".facts")).to_contain_text("production")


@pytest.mark.parametrize("name", ["demo", "demo-admin"])
def test_demo_accounts_do_not_survive_into_production(promoted: tuple[Server, str], name: str) -> None:
    """Their password was shown to everybody who could open the page; its file goes, too."""
    assert not (promoted[0].folder / "demo-password").exists()
    assert _login(promoted[0], name, promoted[1]) == 401


def _login(server: Server, name: str, password: str) -> int:
    credentials = {"username": name, "password": password}
    return httpx.post(f"{server.url}/v1/auth/login", json=credentials, timeout=GUARD_SECONDS).status_code
