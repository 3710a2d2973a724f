"""The address in the `type` of an error leads a person to an explanation and a program to the same as JSON."""

import json
from collections.abc import Callable

import pytest
from flask import Flask
from playwright.sync_api import expect

from api.problems import REGISTRY
from tests.browser.conftest import Server
from tests.browser.docs_page import DocsPage

PERSON = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
KINDS = pytest.mark.parametrize("slug", sorted(REGISTRY))


def _plain(text: str) -> str:
    return " ".join(text.replace("`", "").split())


@KINDS
def test_every_problem_has_a_page_that_explains_it(app: Flask, slug: str) -> None:
    """Title, status, what happened, what to do, and the way back; no word of it is markup that got in by accident."""
    kind = REGISTRY[slug]
    answer = app.test_client().get(f"/problems/{slug}", headers=PERSON)
    assert (answer.status_code, answer.mimetype) == (200, "text/html")
    for said in (kind.title, str(kind.status), kind.remedy.split("`")[0], 'href="/problems"'):
        assert said.replace("'", "&#39;") in answer.text or said in answer.text
    assert "'unsafe-inline'" not in answer.headers["Content-Security-Policy"]
    assert "Accept" in answer.headers["Vary"]


@KINDS
def test_a_program_gets_the_same_as_json(app: Flask, slug: str) -> None:
    kind = REGISTRY[slug]
    body = app.test_client().get(f"/problems/{slug}", headers={"Accept": "application/json"}).json
    assert (body["type"], body["title"], body["status"]) == (f"/problems/{slug}", kind.title, kind.status)
    assert (body["explanation"], body["remedy"]) == (kind.explanation(), kind.remedy)


def test_a_page_reads_well_in_the_browser(open_docs: Callable[..., DocsPage], server: Server) -> None:
    """The example on it is an answer as it travels."""
    page = open_docs(server, "/problems/csrf-failed").page
    main = page.locator("main")
    kind = REGISTRY["csrf-failed"]
    expect(page.get_by_role("heading", level=1)).to_have_text(kind.title)
    expect(main).to_contain_text(_plain(kind.explanation()))
    expect(main).to_contain_text(_plain(kind.remedy))
    head, _, body = page.locator(".example").inner_text().partition("\n\n")
    assert head.startswith("HTTP/1.1 403 Forbidden\nContent-Type: application/problem+json\nWWW-Authenticate: Bearer")
    assert json.loads(body)["type"] == "/problems/csrf-failed"


def test_the_pages_lead_from_the_list_to_the_operation(open_docs: Callable[..., DocsPage], server: Server) -> None:
    """List, problem, operation in the documentation; and back to the list."""
    docs = open_docs(server, "/problems")
    links = docs.page.locator(".cards a")
    assert links.count() == len(REGISTRY)
    docs.click(docs.page.get_by_role("link", name=REGISTRY["refresh-token-reused"].title))
    docs.page.wait_for_url("**/problems/refresh-token-reused")
    docs.click(docs.page.get_by_role("link", name="All problems"))
    docs.page.wait_for_url("**/problems")
    docs.page.go_back()
    docs.click(docs.page.get_by_role("link", name="refresh", exact=True))
    docs.operation("refresh").locator("button.execute").wait_for()


def test_an_unknown_slug_is_not_found(app: Flask) -> None:
    answer = app.test_client().get("/problems/no-such-thing", headers=PERSON)
    assert (answer.status_code, answer.json["type"]) == (404, "/problems/not-found")


def test_the_pages_stay_when_the_documentation_is_switched_off(new_app: Callable[..., Flask]) -> None:
    """They are what errors point to; they only stop linking to what is not there."""
    client = new_app(docs_enabled=False).test_client()
    page = client.get("/problems/token-expired", headers=PERSON)
    assert page.status_code == 200
    assert "/docs" not in page.text
    with client.get("/static/keycard.css") as style:
        assert style.mimetype == "text/css"
