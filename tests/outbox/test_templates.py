"""The templates: complete, harmless with hostile values, and with links that only the settings decide."""

from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import jinja2
import pytest

import api.outbox
from api.outbox import link, render
from tests.outbox.configured import configured

FOLDER = Path(api.outbox.__file__).parent / "templates"
HOSTILE = """<script>alert(1)</script><img src=x onerror=alert(1)>"'&{{ 7 * 7 }}{% raw %}"""
TOKEN = "t" * 43
VALUES: dict[str, dict[str, Any]] = {
    "verify_email": {"username": "ada", "link": f"https://app.example.com/verify#token={TOKEN}", "token": TOKEN, "hours": 24},
    "address_in_use": {"username": "ada"},
    "change_email": {"username": "ada", "link": f"https://app.example.com/verify#token={TOKEN}", "token": TOKEN, "hours": 1},
    "change_email_notice": {
        "username": "ada",
        "new_address": "l***@example.com",
        "link": f"https://auth.example.com/undo-email-change#token={TOKEN}",
        "token": TOKEN,
        "days": 7,
    },
    "reset_password": {"username": "ada", "link": f"https://app.example.com/reset#token={TOKEN}", "token": TOKEN, "minutes": 60},
    "notice": {"subject": "Something", "what": "Something has happened.", "advice": "do this."},
}
# What a mail may be made of: nothing that loads, runs or asks.
TAGS = {"html", "head", "meta", "title", "body", "h1", "p", "strong", "a", "br", "code"}
ATTRIBUTES = {"lang", "charset", "name", "content", "style", "href"}

everywhere = pytest.mark.parametrize("template", VALUES)


@pytest.fixture(autouse=True)
def context(tmp_path: Path) -> Iterator[None]:
    with configured(tmp_path, public_url="https://auth.example.com"):
        yield


class Page(HTMLParser):
    """What a mail program sees."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs
        if tag not in {"meta", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, attribute: str) -> list[str]:
        return [str(value) for name, value in self.attributes if name == attribute]


def test_every_template_is_tested() -> None:
    shared = {"base", "action"}
    assert {each.stem for each in FOLDER.iterdir()} - shared == set(VALUES)


@everywhere
def test_a_template_says_the_same_in_text_and_html(template: str) -> None:
    values = VALUES[template]
    subject, text, html = render(template, **values)
    page = Page(html)
    assert not page.open
    assert page.tags <= TAGS
    assert {name for name, _ in page.attributes} <= ATTRIBUTES
    assert page.all("lang") == ["en"]
    assert set(page.all("href")) == ({values["link"]} if "link" in values else set())
    assert subject
    assert subject == subject.strip()
    assert "\n" not in subject
    assert not text.startswith(("\n", f"{subject}\n"))
    for value in (*values.values(), "https://auth.example.com"):
        assert str(value) in text
        assert str(value) in page.text
    assert subject in page.text
    assert max(len(line) for line in text.splitlines() if "#token=" not in line) <= 78


@everywhere
def test_hostile_values_stay_what_they_are(template: str) -> None:
    """In HTML they are text, in text they are text, and nowhere are they templates."""
    values = VALUES[template] | {name: HOSTILE for name in VALUES[template] if name not in {"hours", "minutes", "subject"}}
    subject, text, html = render(template, **values)
    page = Page(html)
    assert page.tags <= TAGS
    assert {name for name, _ in page.attributes} <= ATTRIBUTES
    assert HOSTILE in page.text
    assert HOSTILE in text
    assert "49" not in text + html
    assert "script" not in subject


@everywhere
def test_a_missing_value_is_an_error_and_not_a_gap(template: str) -> None:
    for name in VALUES[template]:
        values = {key: value for key, value in VALUES[template].items() if key != name}
        with pytest.raises(jinja2.UndefinedError):
            render(template, **values)


def test_an_unknown_template_is_an_error() -> None:
    with pytest.raises(jinja2.TemplateNotFound):
        render("unheard_of")


@pytest.mark.parametrize(("hours", "said"), [(1, "1 hour."), (24, "24 hours.")])
def test_one_hour_is_not_hours(hours: int, said: str) -> None:
    _, text, html = render("verify_email", **VALUES["verify_email"] | {"hours": hours})
    assert said in text
    assert said in html


def test_a_link_leads_where_the_settings_say() -> None:
    """The token is in the fragment, which reaches no server."""
    assert link(None, "/reset-password", TOKEN) == f"https://auth.example.com/reset-password#token={TOKEN}"
    page = "https://app.example.com/reset?lang=en"
    assert link(page, "/reset-password", TOKEN) == f"{page}#token={TOKEN}"
