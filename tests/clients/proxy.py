"""A reverse proxy between an SDK and a server: it counts what passes on the wire, and loses answers."""

import threading
from http.cookiejar import CookieJar, DefaultCookiePolicy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import httpx

from tests.processes.servers import TLS

REFRESH = "POST /v1/auth/refresh"
HOP_BY_HOP = {"connection", "transfer-encoding", "keep-alive", "content-length", "date", "server"}


class Proxy:
    """Listens from construction to `stop`. target: base URL of the server behind it. seen: "METHOD /path" of every request.

    lose: how many answers of the next refreshes the client shall not get, although the server has done its work.
    """

    def __init__(self, target: str = "") -> None:
        self.target = target
        self.seen: list[str] = []
        self.lose = 0
        # The cookies are the client's; a proxy keeps none.
        none = CookieJar(DefaultCookiePolicy(allowed_domains=[]))
        limits = httpx.Limits(max_connections=None)
        self.client = httpx.Client(timeout=30, trust_env=False, verify=TLS, limits=limits, cookies=none)
        self._server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"proxy": self}))
        self.base_url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    @property
    def refreshes(self) -> int:
        return self.seen.count(REFRESH)

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self.client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128  # fifty calls connect at once

    def handle_error(self, *_: Any) -> None:
        """A client that went away is no news."""


class _Handler(BaseHTTPRequestHandler):
    proxy: Proxy

    def forward(self) -> None:
        line = f"{self.command} {self.path.partition('?')[0]}"
        self.proxy.seen.append(line)
        headers = [(name, value) for name, value in self.headers.items() if name.lower() != "connection"]
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        answer = self.proxy.client.request(self.command, self.proxy.target + self.path, headers=headers, content=body)
        if line == REFRESH and self.proxy.lose:
            self.proxy.lose -= 1
            self.close_connection = True
            return
        self.send_response(answer.status_code)
        for name, value in answer.headers.multi_items():
            if name not in HOP_BY_HOP and name != "content-encoding":
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.content)))
        self.end_headers()
        self.wfile.write(answer.content)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = forward  # noqa: N815 - as http.server calls them

    def log_message(self, *_: Any) -> None:
        """Nothing is printed."""
