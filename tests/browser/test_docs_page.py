"""The page itself: what it says, for whom it works, and that one setting takes it away."""

from collections.abc import Callable, Iterator

import pytest
from flask import Flask
from playwright.sync_api import Browser, expect

from api.version import __version__
from tests.browser.conftest import Server, opened_page
from tests.browser.docs_page import DocsPage

PHONE = 390
WIDTH = "() => [document.documentElement.scrollWidth, innerWidth]"
# The WCAG 2 ratio of every visible piece of text against the nearest opaque background; at least 4.5, or 3 for large text.
# Gradients are judged by the colour below them, so the head of the page carries its own.
FAINT = """() => {
  const channels = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const luminance = ([r, g, b]) => [r, g, b].map((c) => (c /= 255) <= .03928 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [.2126, .7152, .0722][i], 0);
  const background = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const style = getComputedStyle(each);
      const colour = style.backgroundImage.includes("gradient") ? channels(style.backgroundImage.match(/rgb\\([^)]*\\)/g).at(-1))
        : channels(style.backgroundColor);
      if (colour.length === 3 || colour[3] >= .99) return colour;
    }
    return [255, 255, 255];
  };
  const faint = [];
  for (const element of document.querySelectorAll("body *")) {
    const text = [...element.childNodes].filter((node) => node.nodeType === 3).map((node) => node.data.trim()).join("");
    if (!text || !element.checkVisibility({ opacityProperty: true, visibilityProperty: true })) continue;
    const style = getComputedStyle(element);
    const [one, other] = [channels(style.color), background(element)].map(luminance).sort((a, b) => b - a);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    const ratio = (one + .05) / (other + .05);
    const name = `${element.tagName}.${element.className}`;
    if (ratio < (large ? 3 : 4.5)) faint.push(`${ratio.toFixed(2)} ${name}: ${text.slice(0, 40)}`);
  }
  return faint;
}"""

# What has a size and a background of its own, but nothing to show: no text, no field, no picture.
EMPTY = """() => [...document.querySelectorAll(".opblock.is-open .response *")].filter((element) => {
  const { width, height } = element.getBoundingClientRect();
  const coloured = getComputedStyle(element).backgroundColor !== "rgba(0, 0, 0, 0)";
  const filled = element.textContent.trim() || element.closest("svg, select, button") || element.querySelector("svg, select");
  return width && height && coloured && !filled;
}).map((element) => `${element.tagName}.${element.className}`)"""


@pytest.fixture(scope="module")
def landing(chromium: Browser, server: Server) -> Iterator[DocsPage]:
    """The documentation just opened, for tests that only look."""
    with opened_page(chromium, server, "docs") as docs:
        docs.visit().screenshot("landing")
        yield docs


def test_the_page_says_what_it_talks_to(landing: DocsPage, server: Server) -> None:
    """The server is the one of the page, whatever its public URL is set to."""
    facts = landing.page.locator(".facts")
    for said in (server.url, __version__, "development", "not signed in"):
        expect(facts).to_contain_text(said)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("OpenAPI as JSON", "application/json"),
        ("OpenAPI as YAML", "application/yaml"),
        ("Problems", "text/html; charset=utf-8"),
        ("README", "text/html; charset=utf-8"),
    ],
)
def test_every_link_of_the_landing_leads_somewhere(landing: DocsPage, name: str, kind: str) -> None:
    target = landing.page.get_by_role("link", name=name, exact=True).get_attribute("href")
    answer = landing.page.request.get(str(target), headers={"Accept": "text/html, */*"})
    assert (answer.status, answer.headers["content-type"]) == (200, kind)


def test_every_operation_of_the_document_is_shown(landing: DocsPage) -> None:
    document = landing.page.request.get("/openapi.json").json()
    expected = {each["operationId"] for item in document["paths"].values() for each in item.values() if "operationId" in each}
    shown = landing.page.locator(".opblock-summary-operation-id").all_inner_texts()
    assert {name.strip().replace("\u200b", "") for name in shown} == expected


def test_no_box_under_an_answer_is_empty(docs: DocsPage) -> None:
    """Swagger UI has classes of its own, and the styles of Keycard's pages must not colour what they happen to match."""
    block = docs.expand("register")
    expect(block.locator(".response")).not_to_have_count(0)
    assert docs.page.evaluate(EMPTY) == []


def test_the_policy_allows_nothing_inline_and_nobody_else(landing: DocsPage) -> None:
    policy = landing.page.request.get("/docs").headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
    assert "unsafe" not in policy
    assert "http" not in policy


@pytest.mark.parametrize(
    "path",
    [
        "/docs",
        "/docs/readme",
        "/problems",
        "/problems/csrf-failed",
        "/problems/fresh-token-required",
        "/problems/not-ready",
        "/problems/validation-failed",
    ],
)
def test_everybody_can_read_it(open_docs: Callable[..., DocsPage], server: Server, path: str) -> None:
    """A phone needs no sideways scrolling, and on any screen text stands out from its background."""
    docs = open_docs(server, path, width=PHONE)
    docs.screenshot("phone")
    if path == "/docs":
        _put_to_work(docs)
    assert docs.page.evaluate(WIDTH) == [PHONE, PHONE]
    assert docs.page.evaluate(FAINT) == []
    docs.page.set_viewport_size({"width": 1280, "height": 844})
    assert docs.page.evaluate(WIDTH) == [1280, 1280]
    assert docs.page.evaluate(FAINT) == []
    docs.screenshot("desktop")


def _put_to_work(docs: DocsPage) -> None:
    """Answers, forms and padlocks in view."""
    docs.sign_in_as("demo-admin")
    for operation in ("get_me", "list_users"):
        assert docs.run(operation)[0] == 200
    for operation in ("get_me", "list_users", "register", "login", "set_user_roles"):
        docs.expand(operation)
    docs.operation("list_users").scroll_into_view_if_needed()


def test_the_keyboard_is_enough(docs: DocsPage) -> None:
    """From opening the page to one's profile and out again, with Tab and Enter, always seeing where one is."""
    _tab_to(docs, "[data-demo=demo]")
    docs.page.keyboard.press("Enter")
    docs.signed_in_as("demo")
    _tab_to(docs, ".opblock[id$='-get_me'] .opblock-summary-control")
    docs.page.keyboard.press("Enter")
    _tab_to(docs, ".opblock[id$='-get_me'] button.execute")
    docs.page.keyboard.press("Enter")
    docs.operation("get_me").locator(".live-responses-table").wait_for()
    assert docs.answer("get_me")[0] == 200
    _tab_to(docs, "#sign-out", key="Shift+Tab")
    docs.page.keyboard.press("Enter")
    docs.signed_out()
    assert docs.page.evaluate("document.activeElement.dataset.demo") == "demo"
    assert docs.clicks == 0


def _tab_to(docs: DocsPage, selector: str, *, key: str = "Tab") -> None:
    for _ in range(150):
        if docs.page.evaluate("(wanted) => document.activeElement.matches(wanted)", selector):
            outline = docs.page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            assert outline != "none", f"{selector} has the focus and does not show it"
            return
        docs.page.keyboard.press(key)
    raise AssertionError(f"{selector} cannot be reached with {key}")


@pytest.fixture(scope="module")
def without_docs(new_app: Callable[..., Flask]) -> Flask:
    return new_app(docs_enabled=False)


@pytest.mark.parametrize("path", ["/", "/docs", "/docs/readme", "/docs/static/page.js", "/docs/assets/swagger-ui.css"])
def test_one_setting_takes_the_page_away(without_docs: Flask, app: Flask, path: str) -> None:
    """And leaves the document."""
    with app.test_client().get(path) as served:
        assert served.status_code in {200, 302}
    refused = without_docs.test_client().get(path)
    assert (refused.status_code, refused.json["type"]) == (404, "/problems/not-found")
    assert without_docs.test_client().get("/openapi.json").status_code == 200


@pytest.mark.parametrize("name", ["index.html", "oauth2-redirect.html", "../__init__.py", "..%2f__init__.py"])
def test_only_the_assets_of_the_page_are_served(app: Flask, name: str) -> None:
    assert app.test_client().get(f"/docs/assets/{name}").status_code == 404
