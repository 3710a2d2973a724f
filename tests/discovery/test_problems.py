"""The registry of problems: what every `type` leads to."""

from html.parser import HTMLParser

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from api.problems import REGISTRY
from tests.actors import Bearer

HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
SLUGS = [
    "account-suspended", "authentication-required", "csrf-failed", "fresh-token-required", "internal-error",
    "invalid-credentials", "invalid-token", "last-admin", "malformed-request", "method-not-allowed", "multiple-credentials",
    "no-such-session", "no-such-user", "not-found", "not-ready", "password-refused", "payload-too-large",
    "refresh-token-reused", "role-required", "service-unavailable", "session-ended", "token-expired", "token-revoked",
    "too-many-requests", "unsupported-media-type", "username-taken", "validation-failed", "wrong-password",
]  # fmt: skip


class Page(HTMLParser):
    """The text, the links and the tags of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text, self.links, self.tags = "", [], set()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [value for name, value in attrs if name == "href"]

    def handle_data(self, data: str) -> None:
        self.text += data

    def says(self, sentence: str) -> bool:
        """Whether the text holds a sentence, however it is broken into lines and whatever is set as code."""
        return " ".join(sentence.replace("`", "").split()) in " ".join(self.text.split())


def read(app: Flask, path: str, **headers: str) -> TestResponse:
    answer = Bearer(app).get(path, headers=headers)
    assert answer.status_code == 200
    return answer


def test_slugs_are_added_and_never_renamed(app: Flask) -> None:
    """Clients compare with them: one that is missing here is a broken client."""
    listed = [each["slug"] for each in read(app, "/problems").json["items"]]
    assert set(SLUGS) <= set(listed)
    assert listed == sorted(REGISTRY)


@pytest.mark.parametrize("slug", SLUGS)
def test_each_problem_is_explained_to_programs(app: Flask, slug: str) -> None:
    found = read(app, f"/problems/{slug}").json
    assert (found["slug"], found["type"]) == (slug, f"/problems/{slug}")
    assert 400 <= found["status"] <= 599
    assert all(len(found[name]) > 5 for name in ("title", "explanation", "remedy"))
    assert found in read(app, "/problems").json["items"]


@pytest.mark.parametrize("slug", SLUGS)
def test_each_problem_has_a_page_for_people(app: Flask, slug: str) -> None:
    found = read(app, f"/problems/{slug}").json
    answer = read(app, f"/problems/{slug}", **HTML)
    assert answer.content_type == "text/html; charset=utf-8"
    page = Page(answer.text)
    assert {"html", "title", "h1"} <= page.tags
    assert "script" not in page.tags
    for said in (found["title"], found["explanation"], found["remedy"], str(found["status"])):
        assert page.says(said), said


def test_the_page_of_all_problems_leads_to_each(app: Flask) -> None:
    links = {link for link in Page(read(app, "/problems", **HTML).text).links if link.startswith("/problems/")}
    assert links == {f"/problems/{slug}" for slug in REGISTRY}
    for link in links:
        assert read(app, link, **HTML).mimetype == "text/html"


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("", "application/json"),
        ("*/*", "application/json"),
        ("application/json", "application/json"),
        ("application/json, text/html;q=0.9", "application/json"),
        ("text/html;q=0.9, application/json;q=0.1", "text/html"),
        (HTML["Accept"], "text/html"),
        ("image/png", "application/json"),
    ],
)
@pytest.mark.parametrize("path", ["/problems", "/problems/not-found"])
def test_the_accept_header_chooses(app: Flask, path: str, accept: str, media_type: str) -> None:
    assert read(app, path, **({"Accept": accept} if accept else {})).mimetype == media_type


@pytest.mark.parametrize("path", ["/problems", "/problems/not-found"])
@pytest.mark.parametrize("accept", ["application/json", "text/html"])
def test_a_cache_keeps_the_two_forms_apart(app: Flask, path: str, accept: str) -> None:
    """The answer may be kept, so a cache must know that it depends on Accept (RFC 9110, section 12.5.5)."""
    answer = read(app, path, Accept=accept)
    assert answer.headers["Cache-Control"] == "public, max-age=3600"
    assert "accept" in [name.strip().lower() for name in answer.headers.get("Vary", "").split(",")]


def test_pages_run_no_scripts(app: Flask) -> None:
    policy = read(app, "/problems", **HTML).headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy


@pytest.mark.parametrize("slug", ["no-such-thing", "NOT-FOUND", "not-found%00", "<script>"])
def test_an_unknown_slug_is_not_found(app: Flask, slug: str) -> None:
    answer = Bearer(app).get(f"/problems/{slug}", headers=HTML)
    assert (answer.status_code, answer.json["type"]) == (404, "/problems/not-found")


def test_the_type_of_an_error_leads_to_its_explanation(app: Flask) -> None:
    error = Bearer(app).get("/v1/users/me").json
    found = read(app, error["type"]).json
    assert (found["type"], found["title"], found["status"]) == (error["type"], error["title"], error["status"])
