"""The pages behind mailed links, as somebody uses them who has just clicked on one."""

import re
import time
from collections.abc import Callable
from email import message_from_bytes, policy
from typing import Any

import httpx
import pytest
from playwright.sync_api import expect

from tests.actors import new_name
from tests.browser.conftest import Server
from tests.browser.docs_page import GUARD_SECONDS, PASSWORD, DocsPage

NEW = "Battery-Staple-8"


def post(server: Server, path: str, **body: Any) -> httpx.Response:
    return httpx.post(f"{server.url}{path}", json=body)


def mailed_path(server: Server, address: str, subject: str) -> str:
    """Path and fragment of the link in the newest mail of this subject to an address, as soon as it has left."""
    deadline = time.monotonic() + GUARD_SECONDS
    while time.monotonic() < deadline:
        for file in sorted((server.folder / "outbox").glob("*.eml"), key=lambda each: -each.stat().st_mtime_ns):
            letter = message_from_bytes(file.read_bytes(), policy=policy.SMTP)
            if letter["To"] == address and letter["Subject"] == subject:
                text = letter.get_body(("plain",)).get_content()  # type: ignore[attr-defined]
                found = re.search(r"https?://[^/]+(/\S*#token=\S+)", text)
                assert found, text
                return found[1]
        time.sleep(0.05)
    pytest.fail(f"no mail to {address}: {subject}")


def joined(server: Server, *, verified: bool = True) -> tuple[str, str, str]:
    """Somebody who is registered and signed in: name, address, access token."""
    name = new_name()
    address = f"{name}@example.com"
    assert post(server, "/v1/auth/register", username=name, password=PASSWORD, email=address).status_code == 201
    if verified:
        path = mailed_path(server, address, "Confirm your e-mail address")
        assert post(server, "/v1/auth/email/verify", token=path.rpartition("=")[2]).status_code == 204
    token = post(server, "/v1/auth/login", username=name, password=PASSWORD).json()["access_token"]
    return name, address, token


def me(server: Server, token: str) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{server.url}/v1/users/me", headers={"Authorization": f"Bearer {token}"}).json()
    return found


Open = Callable[..., DocsPage]


def says(page: DocsPage, text: str) -> None:
    expect(page.page.locator("#message")).to_contain_text(text)


def test_a_click_verifies_an_address_and_names_the_account_before(open_docs: Open, server: Server) -> None:
    name, address, token = joined(server, verified=False)
    page = open_docs(server, mailed_path(server, address, "Confirm your e-mail address"))
    expect(page.page.locator("#question")).to_contain_text(f"{address} belongs to the account {name}")
    assert me(server, token)["email_verified"] is False  # opening the page does nothing
    page.screenshot("verify-email")
    page.click("#form button")
    says(page, f"{address} now belongs to the account {name}")
    assert me(server, token)["email_verified"] is True
    assert "token" not in page.page.url


def test_a_link_that_was_used_says_so(open_docs: Open, server: Server) -> None:
    _, address, _ = joined(server, verified=False)
    path = mailed_path(server, address, "Confirm your e-mail address")
    open_docs(server, path).click("#form button")
    page = open_docs(server, path)
    expect(page.page.locator("#message")).to_contain_text(re.compile("cannot be used|belongs to"))
    page.allow(403)
    again = open_docs(server, path)
    again.allow(403)
    says(again, "This link cannot be used")
    expect(again.page.locator("#form")).to_be_hidden()


def test_a_page_without_a_token_says_what_to_do(open_docs: Open, server: Server) -> None:
    for path in ("/verify-email", "/reset-password", "/undo-email-change"):
        says(open_docs(server, path), "Open the link from the mail")


@pytest.mark.parametrize("width", [390, 1280])
def test_a_click_leads_to_a_new_password(open_docs: Open, server: Server, width: int) -> None:
    name, address, token = joined(server)
    assert post(server, "/v1/auth/password/forgot", email=address).status_code == 202
    page = open_docs(server, mailed_path(server, address, "Choose a new password"), width=width)
    page.allow(409, 422)
    expect(page.page.locator("#question")).to_contain_text(name)
    expect(page.page.locator("#hint")).to_contain_text("10 to 128 characters")
    page.screenshot("reset-password")
    for refused in ("short", "Password123"):
        page.page.fill("#password", refused)
        page.click("#form button")
        expect(page.page.locator("#message")).not_to_be_empty()
        expect(page.page.locator("#form button")).to_be_enabled()
    page.page.fill("#password", NEW)
    page.click("#form button")
    says(page, "has a new password")
    assert httpx.get(f"{server.url}/v1/users/me", headers={"Authorization": f"Bearer {token}"}).status_code == 401
    assert post(server, "/v1/auth/login", username=name, password=NEW).status_code == 200


def test_a_change_is_finished_with_the_password_where_nobody_is_signed_in(open_docs: Open, server: Server) -> None:
    name, _, token = joined(server)
    new = f"{name}@example.org"
    answer = httpx.put(f"{server.url}/v1/users/me/email", json={"email": new}, headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 202
    page = open_docs(server, mailed_path(server, new, "Confirm your new e-mail address"))
    page.allow(403)
    expect(page.page.locator("#password-field")).to_be_hidden()
    page.click("#form button")
    says(page, "Give the password of the account")
    page.page.fill("#password", "Wrong-Horse-7")
    page.click("#form button")
    says(page, "The password is wrong")
    page.page.fill("#password", PASSWORD)
    page.click("#form button")
    says(page, f"{new} is now the address of the account {name}")
    assert me(server, token)["email"] == new


def test_a_change_is_finished_by_the_browser_that_asked_for_it(open_docs: Open, server: Server) -> None:
    """In cookie delivery the session comes along, with its CSRF value."""
    name, _, token = joined(server)
    new = f"{name}@example.org"
    docs = open_docs(server)
    assert docs.run("login", {"username": name, "password": PASSWORD, "delivery": "cookie"})[0] == 200
    assert docs.run("change_email", {"email": new})[0] == 202
    docs.visit(mailed_path(server, new, "Confirm your new e-mail address"))
    docs.click("#form button")
    says(docs, f"{new} is now the address of the account {name}")
    assert me(server, token)["email"] == new


def test_a_click_in_the_old_mailbox_undoes_a_change(open_docs: Open, server: Server) -> None:
    """And leads on to a new password."""
    name, address, token = joined(server)
    new = f"{name}@example.org"
    headers = {"Authorization": f"Bearer {token}"}
    assert httpx.put(f"{server.url}/v1/users/me/email", json={"email": new}, headers=headers).status_code == 202
    path = mailed_path(server, address, "Your e-mail address is about to change")
    proof = {"token": mailed_path(server, new, "Confirm your new e-mail address").rpartition("=")[2]}
    assert httpx.post(f"{server.url}/v1/auth/email/verify", json=proof, headers=headers).status_code == 204
    page = open_docs(server, path)
    expect(page.page.locator("#question")).to_contain_text(f"Bring {address} back")
    page.click("#form button")
    says(page, f"{address} is the address of the account {name} again")
    assert httpx.get(f"{server.url}/v1/users/me", headers=headers).status_code == 401
    assert mailed_path(server, address, "Choose a new password").startswith("/reset-password#token=")


def test_the_pages_stay_without_the_documentation(open_docs: Open, start: Callable[..., Server]) -> None:
    server = start(docs_enabled="false")
    _, address, token = joined(server, verified=False)
    page = open_docs(server, mailed_path(server, address, "Confirm your e-mail address"))
    page.click("#form button")
    says(page, "now belongs to")
    assert me(server, token)["email_verified"] is True
