"""The TypeScript SDK in a real Chromium, on a page of another origin than Keycard's: CORS, cookies, CSRF, several tabs."""

import http.server
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from tests.actors import PASSWORD, new_name
from tests.browser.conftest import TEST_SECONDS, Server, chromium, start  # noqa: F401 - fixtures
from tests.clients.test_typescript import build

pytestmark = pytest.mark.timeout(TEST_SECONDS)
LIFETIME = 5
DELIVERIES = ["hybrid", "cookie"]
APP = """<!doctype html><title>An app</title><link rel="icon" href="data:,"><script type="module">
import * as sdk from '/dist/index.js';
const [url, delivery] = location.hash.slice(1).split(',');
const keycard = new sdk.Keycard(url, { delivery });
Object.assign(window, { sdk, keycard });
// Ten calls at once, at a moment that the tabs agree on.
window.crowd = async (moment) => {
  await new Promise((resolve) => setTimeout(resolve, moment - Date.now()));
  const people = await Promise.all(Array.from({ length: 10 }, () => keycard.getMe()));
  return people.map(({ username }) => username);
};
window.slugOf = (promise) => promise.then(() => 'no problem', (error) => error.slug ?? String(error));
</script>"""
# How long after the first tab the second one starts, in milliseconds: before, within and after the first one's refresh.
APART = [0, 5, 20, 120]


class Files(http.server.SimpleHTTPRequestHandler):
    """The page of the app and what was built."""

    def do_GET(self) -> None:
        if self.path != "/":
            return super().do_GET()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(APP.encode())
        return None

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the app is served."""
    folder = tmp_path_factory.mktemp("app")
    build(folder / "dist")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Files, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def keycard(start: Callable[..., Server], origin: str) -> Server:  # noqa: F811 - the fixture
    """A server that lets the app's origin call, and gives short-lived access tokens."""
    return start(access_token_lifetime=LIFETIME, cors_origins=origin)


class App:
    """The app in one browser: its tabs, what it sent and what it complained of."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.context = context
        self.url = url
        self.refreshes: list[str] = []
        self.complaints: list[str] = []
        context.on("request", lambda sent: sent.url.endswith("/v1/auth/refresh") and self.refreshes.append(sent.method))
        context.on("console", lambda said: said.type == "error" and self.complaints.append(said.text))
        context.on("weberror", lambda error: self.complaints.append(str(error.error)))

    def tab(self) -> Page:
        page = self.context.new_page()
        page.goto(self.url)
        page.wait_for_function("window.keycard")
        return page


@pytest.fixture
def app(chromium: Browser, keycard: Server, origin: str, delivery: str) -> Iterator[App]:  # noqa: F811 - the fixture
    context = chromium.new_context()
    found = App(context, f"{origin}/#{keycard.url},{delivery}")
    yield found
    context.close()


@pytest.fixture
def name(app: App) -> str:
    """Somebody who is signed in, in the first tab."""
    name = new_name()
    page = app.tab()
    body = {"username": name, "password": PASSWORD}
    page.evaluate("body => keycard.register({ body })", body)
    page.evaluate("body => keycard.login({ body })", body)
    assert page.evaluate("keycard.getMe().then(({ username }) => username)") == name
    return name


def wait_for_expiry(page: Page) -> int:
    """Wait until the access token has expired; return the page's clock."""
    page.wait_for_function("Date.now() > JSON.parse(Object.values(localStorage)[0]).expiresAt")
    return int(page.evaluate("Date.now()"))


@pytest.mark.parametrize("delivery", DELIVERIES)
def test_tabs_that_refresh_together_send_one_refresh(app: App, name: str) -> None:
    """At each expiry twenty calls in two tabs are served by one refresh, however close together they come."""
    one, two = app.context.pages[0], app.tab()
    assert two.evaluate("keycard.getMe().then(({ username }) => username)") == name
    for apart in APART:
        now = wait_for_expiry(one)
        before = len(app.refreshes)
        for page, moment in ((one, now + 300), (two, now + 300 + apart)):
            page.evaluate("moment => { window.served = crowd(moment); }", moment)
        assert [page.evaluate("served") for page in (one, two)] == [[name] * 10] * 2
        assert app.refreshes[before:] == ["POST"], f"{apart} ms apart"
    assert app.complaints == []


@pytest.mark.parametrize("delivery", DELIVERIES)
def test_a_reloaded_page_finds_its_session(app: App, name: str, delivery: str) -> None:
    """The cookie brings the session back, although no token was ever written to the browser's storage."""
    (page,) = app.context.pages
    written = page.evaluate("JSON.stringify([localStorage, sessionStorage, document.cookie])")
    assert "eyJ" not in written
    assert "csrf_token" in written
    before = len(app.refreshes)
    page.reload()
    page.wait_for_function("window.keycard")
    who = page.evaluate("keycard.getSession()")
    assert who["authenticated"]
    assert who["user"]["username"] == name
    assert len(app.refreshes) - before <= 1
    if delivery == "hybrid":
        assert len(app.refreshes) - before == 1
    assert app.complaints == []


@pytest.mark.parametrize("delivery", DELIVERIES)
def test_signing_out_in_one_tab_signs_out_the_others(app: App, name: str) -> None:
    """The cookies are gone, the other tab knows without asking, and a page opened later is nobody's."""
    one, two = app.context.pages[0], app.tab()
    assert two.evaluate("keycard.getMe().then(({ username }) => username)") == name
    refreshes = len(app.refreshes)
    one.evaluate("keycard.logout()")
    assert app.context.cookies() == []
    assert [page.evaluate("slugOf(keycard.getMe())") for page in (one, two)] == ["authentication-required"] * 2
    assert app.tab().evaluate("keycard.getSession()") == {"authenticated": False}
    assert len(app.refreshes) == refreshes
    assert all("401" in text for text in app.complaints), app.complaints


@pytest.mark.parametrize("delivery", DELIVERIES)
def test_problems_are_typed_in_the_browser_too(app: App, name: str) -> None:
    """CORS lets the page read what went wrong."""
    (page,) = app.context.pages
    body = {"current_password": "Wrong-Horse-7", "new_password": "Correct-Horse-8"}
    assert page.evaluate("body => slugOf(keycard.changePassword({ body }))", body) == "wrong-password"
    assert page.evaluate("keycard.updateMe({ body: { display_name: 'Ada' } }).then(({ display_name }) => display_name)") == "Ada"
    found = page.evaluate("keycard.getUser({ path: { user_id: crypto.randomUUID() } }).catch(error => error.requestId)")
    assert found
    assert all("403" in text for text in app.complaints), app.complaints
