"""A flood of sign-ins with the real hash on one worker, and what one client that asks for itself notices of it."""

import http.client
import statistics
import threading
import time
from typing import Any

from .load import Request
from .servers import Server

CONNECTIONS = 32


def measure(server: Server, seconds: float) -> dict[str, Any]:
    """Times of get_me, idle and during the flood, and what became of the sign-ins."""
    token = server.sign_in("access")
    idle = _times(server, token, seconds / 2)
    login = server.target.requests["login"]
    flood = Request(login.method, login.path, "names", login.headers, login.body)
    found: list[Any] = []
    thread = threading.Thread(
        target=lambda: found.append(server.drive(flood, server.names, seconds + 2, connections=CONNECTIONS, count_refusals=True))
    )
    thread.start()
    time.sleep(1)  # the flood is meant to be in full spate
    during = _times(server, token, seconds)
    thread.join()
    load = found[0]
    refused = load.refused_politely + load.refused_rudely
    return {
        "connections": CONNECTIONS,
        "idle": idle,
        "flooded": during,
        "p99_ratio": round(during["p99_ms"] / idle["p99_ms"], 2),
        "answers": load.requests,
        "refused_503": refused,
        "refused_share": round(refused / max(load.requests, 1), 3),
        "refused_without_retry_after": load.refused_rudely,
        "other_errors": load.status_errors - refused + load.socket_errors + load.timeouts,
        "logins_per_second": round((load.requests - load.status_errors) / load.microseconds * 1e6, 2),
    }


def _times(server: Server, token: str, seconds: float) -> dict[str, float]:
    """Ask again and again on one connection; milliseconds."""
    request = server.target.requests["get_me"].filled(token)
    connection = http.client.HTTPConnection("127.0.0.1", server.start.port, timeout=60)
    times: list[float] = []
    until = time.perf_counter() + seconds
    while time.perf_counter() < until or len(times) < 50:
        before = time.perf_counter()
        connection.request(request["method"], request["url"], headers=request["headers"])
        answer = connection.getresponse()
        answer.read()
        times.append((time.perf_counter() - before) * 1e3)
        if answer.status != 200:
            raise RuntimeError(f"get_me: {answer.status}")
    connection.close()
    cuts = statistics.quantiles(times, n=100, method="inclusive")
    return {"answers": len(times), "p50_ms": round(cuts[49], 2), "p99_ms": round(cuts[98], 2), "max_ms": round(max(times), 2)}
