"""The documentation page as a person uses it, and everything the browser noticed meanwhile."""

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from playwright.sync_api import ConsoleMessage, Locator, Page, Request, expect
from playwright.sync_api import TimeoutError as Late

PASSWORD = "Correct-Horse-7"
DELIVERIES = ["body", "hybrid", "cookie"]
# Whatever is waited for has happened long before, on the slowest machine too, unless it hangs.
GUARD_SECONDS = 120
WATCH = """
window.violations = [];
addEventListener("securitypolicyviolation", (event) => violations.push(`${event.violatedDirective} ${event.blockedURI}`));
"""
STORED = "() => [...Object.keys(localStorage), ...Object.keys(sessionStorage)]"


class DocsPage:
    """`docs.run("get_me")` clicks through Try it out and returns (status, body)."""

    def __init__(self, page: Page, url: str, shots: Path) -> None:
        self.page = page
        self.url = url
        self.shots = shots
        self.clicks = 0
        self.faults: list[str] = []
        self.refusals: list[int] = []
        self.allowed: set[int] = set()
        self.requests: list[Request] = []
        page.add_init_script(WATCH)
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("request", lambda request: self.requests.append(request))  # noqa: PLW0108 - Playwright needs a function

    def _heard(self, message: ConsoleMessage) -> None:
        """Chromium reports every refused request as an error; whether that was wanted the test says."""
        refused = re.match(r"Failed to load resource: the server responded with a status of (\d+)", message.text)
        if refused:
            self.refusals.append(int(refused[1]))
        elif message.type in {"error", "warning"}:
            self.faults.append(message.text)

    def visit(self, path: str = "/docs") -> Self:
        """Load a page; the documentation is waited for until it has started."""
        self.page.goto(path)
        if path == "/docs":
            self._wait_until_ready()
        return self

    def _wait_until_ready(self) -> None:
        try:
            self.page.locator("html[data-ready], #lamp[data-state=ended]").first.wait_for(state="attached")
            assert self.page.locator("html[data-ready]").count(), self.page.locator("#status").inner_text()
            self.page.locator(".opblock").first.wait_for()
        except Late as late:
            unanswered = [each.url for each in self.requests if each.timing["responseEnd"] < 0]
            raise AssertionError(f"The page is not ready. Unanswered: {unanswered}; the console: {self.faults}") from late

    def sleep(self) -> None:
        """Stop the page's clock an hour ahead: whatever was due in that hour is done once, as when a laptop is opened again.

        From now on no time passes in the page but what `let_pass` lets pass. Operations that are open work; Swagger UI
        cannot open others, because it waits a moment before it does. The page needs a clock of its own.
        """
        self.page.clock.pause_at(self.page.evaluate("Date.now()") / 1000 + 3600)

    def let_pass(self, seconds: int) -> None:
        """Move the stopped clock of the page."""
        self.page.clock.fast_forward(seconds * 1000)

    def allow(self, *statuses: int) -> None:
        """These refusals are part of the story."""
        self.allowed |= set(statuses)

    def assert_well_behaved(self) -> None:
        hosts = {request.url.split("/", 3)[2] for request in self.requests if not request.url.startswith("data:")}
        assert hosts == {self.url.split("/", 3)[2]}
        assert self.page.evaluate("violations") == []
        assert self.page.evaluate(STORED) == []
        assert self.faults == []
        assert set(self.refusals) <= self.allowed

    def click(self, target: str | Locator) -> None:
        self.clicks += 1
        (self.page.locator(target) if isinstance(target, str) else target).click()

    def operation(self, name: str) -> Locator:
        return self.page.locator(f".opblock[id$='-{name}']")

    def expand(self, name: str) -> Locator:
        block = self.operation(name)
        if not block.locator("button.execute").count():
            self.click(block.locator(".opblock-summary-control"))
        block.locator("button.execute").wait_for()
        return block

    def _fold(self, block: Locator) -> None:
        """Close an operation again: Swagger UI draws all that are open anew at every change, which costs more than the rest."""
        block.locator(".opblock-summary-control").click()
        block.locator("button.execute").wait_for(state="detached")

    def run(self, name: str, body: dict[str, Any] | None = None) -> tuple[int, Any]:
        """Execute an operation, with this body instead of the example, and read what the page shows as the answer."""
        block = self.expand(name)
        if body is not None:
            block.locator("textarea.body-param__text").fill(json.dumps(body))
        shown = block.locator(".opblock-summary-path").inner_text().replace("\u200b", "")
        url = re.compile(self.url + re.sub(r"\{\w+\}", "[^/]+", shown) + r"(\?.*)?")
        method = block.locator(".opblock-summary-method").inner_text()
        with self.page.expect_response(lambda each: bool(url.fullmatch(each.url)) and each.request.method == method):
            self.click(block.locator("button.execute"))
        answer = self.answer(name)
        self._fold(block)
        return answer

    def answer(self, name: str) -> tuple[int, Any]:
        block = self.operation(name)
        block.locator(".loading-container").wait_for(state="detached")
        live = block.locator(".live-responses-table")
        shown_status = live.locator("tbody .response-col_status").inner_text().split()[0]
        assert shown_status.isdigit(), live.inner_text()
        status = int(shown_status)
        shown = live.locator("tbody .highlight-code .microlight").first
        return status, json.loads(shown.inner_text()) if shown.count() else None

    def curl(self, name: str) -> str:
        return self.operation(name).locator(".curl-command").inner_text()

    def sign_in_as(self, account: str) -> None:
        """One click on a demo account."""
        self.click(f"[data-demo={account}]")
        self.signed_in_as(account)

    def join(self, name: str, delivery: str = "body") -> None:
        """Register with Try it out; for another delivery than `body` register by HTTP, and sign in with Try it out."""
        if delivery == "body":
            assert self.run("register", {"username": name, "password": PASSWORD})[0] == 201
            self.signed_in_as(name)
        else:
            self.register(name)
            self.login(name, delivery)

    def register(self, name: str) -> str:
        """Make an account without the page; return its id."""
        made = self.page.request.post("/v1/auth/register", data={"username": name, "password": PASSWORD})
        assert made.status == 201
        return str(made.json()["id"])

    def login(self, name: str, delivery: str) -> None:
        """Sign in with Try it out."""
        assert self.run("login", {"username": name, "password": PASSWORD, "delivery": delivery})[0] == 200
        self.signed_in_as(name, delivery)

    def signed_in_as(self, name: str, delivery: str = "body") -> None:
        expect(self.page.locator("#status")).to_have_text(f"Signed in as {name}, delivery {delivery}")

    def signed_out(self, text: str | re.Pattern[str] = "Signed out.") -> None:
        expect(self.page.locator("#status")).to_have_text(text)
        expect(self.page.locator("#sign-out")).to_be_hidden()

    def calls(self, method: str, path: str) -> list[Request]:
        """What went over the wire so far, with any query."""
        return [each for each in self.requests if each.method == method and each.url.partition("?")[0] == f"{self.url}{path}"]

    def cookies(self) -> set[str]:
        """The names of the cookies that the browser holds."""
        return {cookie["name"] for cookie in self.page.context.cookies()}

    def refreshes(self) -> list[Request]:
        return self.calls("POST", "/v1/auth/refresh")

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait, letting the browser work, until a condition holds."""
        deadline = time.monotonic() + GUARD_SECONDS
        while not condition():
            assert time.monotonic() < deadline, "the condition did not come true"
            self.page.wait_for_timeout(50)

    def screenshot(self, name: str) -> None:
        self.shots.parent.mkdir(exist_ok=True)
        self.page.screenshot(path=f"{self.shots}-{name}.png")
