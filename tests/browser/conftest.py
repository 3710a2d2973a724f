"""A real Chromium in front of a real `keycard serve`.

Every page watches itself: a console error, a violation of the Content-Security-Policy, a request to another host, or
anything in the browser's storage fails the test that caused it. Screenshots go to `artifacts/`: what the pages look like,
and the last sight of every test that failed.

Nothing here is decided by how fast the machine is. Waits end when the thing is there, and their limits only end a hang.
"""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from tests.conftest import IN_CI, Stores

pytest.register_assert_rewrite("tests.browser.docs_page")
from tests.browser.docs_page import GUARD_SECONDS, DocsPage  # noqa: E402

TEST_SECONDS = 900  # a test waits more than once
ARTIFACTS = Path(__file__).parents[2] / "artifacts"
FAILED = pytest.StashKey[bool]()
expect.set_options(timeout=GUARD_SECONDS * 1000)


def pytest_itemcollected(item: pytest.Item) -> None:
    """The limit of the other tests would end one of these while it is only slow."""
    item.add_marker(pytest.mark.timeout(TEST_SECONDS))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Remember who failed, for the screenshots."""
    report = yield
    item.stash[FAILED] = report.failed or item.stash.get(FAILED, False)
    return report


@dataclass(frozen=True)
class Server:
    """A running `keycard serve` and what it was started with."""

    url: str
    folder: Path
    output: Path


@pytest.fixture(scope="session")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Server]]:
    """Start servers, each with an SQLite database of its own or in the folder of another: `start(access_token_lifetime=3)`."""
    running: list[subprocess.Popen[bytes]] = []

    def run(*, folder: Path | None = None, **settings: Any) -> Server:
        folder = folder or tmp_path_factory.mktemp("server")
        environment = Stores("sqlite", f"sqlite:///{folder}/keycard.sqlite3", None).environment(folder, **settings)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        server = Server(f"http://127.0.0.1:{port}", folder, folder / f"serve-{port}.log")
        with server.output.open("wb") as output:
            command = ["keycard", "serve", "--port", str(port), "--threads", "4"]
            running.append(
                subprocess.Popen(command, env=environment, cwd=folder, stdout=output, stderr=output, start_new_session=True)
            )
        _wait_until_it_answers(server, running[-1])
        return server

    yield run
    for process in running:  # how politely a server ends is not tested here, so nobody waits for it
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait_until_it_answers(server: Server, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + GUARD_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            httpx.get(f"{server.url}/health/live", timeout=5)
        except httpx.TransportError:
            time.sleep(0.05)
        else:
            return
    pytest.fail(f"keycard serve did not start:\n{server.output.read_text()[-3000:]}")


@pytest.fixture(scope="session")
def server(start: Callable[..., Server]) -> Server:
    """A development server as it comes. Its public URL is left at the default, which is not where it listens."""
    return start()


@pytest.fixture(scope="session")
def hasty_server(start: Callable[..., Server], server: Server) -> Server:
    """Another server of the same deployment, which gives access tokens that live for one second."""
    return start(folder=server.folder, access_token_lifetime=1)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not found:
        (pytest.fail if IN_CI else pytest.skip)("no Chromium on the PATH: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, timeout=GUARD_SECONDS * 1000)
        yield browser
        browser.close()


@contextlib.contextmanager
def opened_page(chromium: Browser, server: Server, name: str, width: int = 1280) -> Iterator[DocsPage]:
    """A page in a browser of its own, nothing loaded yet; at the end it has to have behaved."""
    context = chromium.new_context(base_url=server.url, viewport={"width": width, "height": 844})
    context.set_default_timeout(GUARD_SECONDS * 1000)
    page = DocsPage(context.new_page(), server.url, ARTIFACTS / re.sub(r"[^\w-]+", "-", name).strip("-"))
    try:
        yield page
        page.assert_well_behaved()
    finally:
        context.close()


@pytest.fixture
def open_docs(chromium: Browser, request: pytest.FixtureRequest) -> Iterator[Callable[..., DocsPage]]:
    """Open pages in browsers of their own: `open_docs(server)`, `open_docs(server, "/problems", width=390)`.

    Without a path nothing is loaded yet. A page with a clock of its own can be put to `sleep`.
    """
    opened: list[DocsPage] = []
    with contextlib.ExitStack() as stack:

        def visit(server: Server, path: str | None = "/docs", *, width: int = 1280, own_clock: bool = False) -> DocsPage:
            page = stack.enter_context(opened_page(chromium, server, request.node.name, width))
            opened.append(page)
            if own_clock:
                page.page.clock.install()
            return page.visit(path) if path else page

        yield visit
        if request.node.stash.get(FAILED, False):
            for number, page in enumerate(opened, 1):
                page.screenshot(f"failed-{number}")


@pytest.fixture
def docs(open_docs: Callable[..., DocsPage], server: Server) -> DocsPage:
    """The documentation of a development server, just opened."""
    return open_docs(server)
