"""Load of a few requests a second, each answered before the clock stops: sign-ins with the real hash."""

import threading
import time
from dataclasses import dataclass

import httpx

from .load import Request
from .servers import Server


@dataclass(frozen=True)
class Finished:
    """Requests that were all answered, and the seconds from the first to the last."""

    requests: int
    seconds: float
    unexpected: int


def sign_in_for(server: Server, seconds: float, clients: int) -> Finished:
    """Let some clients sign in one after the other until the time is up, and wait for the last answer.

    wrk would leave requests unanswered at the end, which at five a second is a fault of several per cent.
    """
    request = server.target.requests["login"]
    statuses: list[int] = []
    started = time.monotonic()

    def work(client: int) -> None:
        with httpx.Client(base_url=server.url, timeout=120, trust_env=False) as http:
            number = client
            while time.monotonic() - started < seconds:
                statuses.append(_send(http, request, server.names[number % len(server.names)]))
                number += clients

    threads = [threading.Thread(target=work, args=(client,)) for client in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    elapsed = time.monotonic() - started
    return Finished(len(statuses), elapsed, sum(status != request.status for status in statuses))


def _send(http: httpx.Client, request: Request, name: str) -> int:
    return http.request(**request.filled(name)).status_code
