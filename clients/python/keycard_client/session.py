"""What lies between the operations and the network: it signs, refreshes, replays and waits.

The logic is written once, as generators that ask for steps; one driver carries them out with threads, another with asyncio.
"""

import contextlib
import json
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from typing import Any, Literal

import httpx

from .generated import slugs
from .problems import Problem, retry_after
from .tokens import Tokens, TokenStorage

Delivery = Literal["body", "hybrid", "cookie"]
LOGIN, REFRESH, LOGOUT = "/v1/auth/login", "/v1/auth/refresh", "/v1/auth/logout"
# These answer a new pair, and what the session had before is dead.
RENEWALS = {("POST", "/v1/auth/reauthenticate"), ("PUT", "/v1/users/me/password")}
# A refresh helps against these.
REFRESHABLE = {slugs.TOKEN_EXPIRED, slugs.INVALID_TOKEN, slugs.TOKEN_REVOKED, slugs.AUTHENTICATION_REQUIRED}
# What a refresh is answered when the session is over.
OVER = REFRESHABLE | {slugs.REFRESH_TOKEN_REUSED, slugs.SESSION_ENDED, slugs.ACCOUNT_SUSPENDED}
REPEATS = 2
# A used refresh token gets the same answer again for 10 seconds; later it looks stolen. So the last try must start within them:
# all others end after 3 seconds. The last one may take as long as any request.
REFRESH_TRIES, REFRESH_TRY_SECONDS = 3, 3.0


@dataclass(frozen=True)
class Send:
    """A step: send this, and hand in the answer with its body."""

    request: httpx.Request


@dataclass(frozen=True)
class Wait:
    """A step: let these seconds pass."""

    seconds: float


@dataclass(frozen=True)
class Acquire:
    """A step: take the lock. The session gives it back itself, because a generator that is closed can ask for no step."""


Step = Send | Wait | Acquire
Steps = Generator[Step, Any, httpx.Response]


class Session:
    """One person's session with one server. release: gives the lock back, held by whoever changes what is stored."""

    def __init__(
        self,
        base_url: str,
        *,
        delivery: Delivery,
        storage: TokenStorage,
        timeout: float,
        longest_wait: float,
        release: Callable[[], None],
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._delivery = delivery
        self._storage = storage
        self._timeout = timeout
        self._longest_wait = longest_wait
        self._release = release
        self._attempts = 0
        self._failure: Exception | None = None

    def call(self, request: httpx.Request, *, signed: bool) -> Steps:
        """Answer a request of an operation. Raises Problem, httpx.TransportError."""
        path = str(request.url).removeprefix(self._base_url)
        if path == LOGIN:
            return self._alone(self._login(request))
        if path == LOGOUT:
            return self._alone(self._logout(request))
        if path == REFRESH:
            return self._alone(self._refresh_asked_for(request))
        if (request.method, path) in RENEWALS:
            return self._alone(self._renew(request))
        return self._signed(request) if signed else self._public(request)

    def _alone(self, steps: Steps) -> Steps:
        """Take these steps while nobody else refreshes, signs in or signs out."""
        yield Acquire()
        try:
            return (yield from steps)
        finally:
            self._release()

    def _public(self, request: httpx.Request) -> Steps:
        return good((yield from self._send(request)))

    def _login(self, request: httpx.Request) -> Steps:
        body = {"delivery": self._delivery, **json.loads(request.content)}
        answer = good((yield from self._send(httpx.Request("POST", request.url, json=body, extensions=request.extensions))))
        self._keep(answer, Tokens())
        return answer

    def _signed(self, request: httpx.Request) -> Steps:
        """Send with the access token, refreshed if it is time; and once more with another one if it is refused."""
        tokens = self._storage.load()
        if tokens and tokens.due:
            tokens = yield from self._successor(tokens)
        answer = yield from self._send(self._with(request, tokens))
        if tokens and tokens.renewable and answer.status_code == 401 and Problem(answer).slug in REFRESHABLE:
            tokens = yield from self._successor(tokens, refused=True)
            answer = yield from self._send(self._with(request, tokens))
        return good(answer)

    def _renew(self, request: httpx.Request) -> Steps:
        """Send the password, and keep the new pair. Nobody refreshes meanwhile: the refresh token dies with the old pair."""
        held = self._storage.load()
        answer = yield from self._send(self._with(request, held))
        if held and held.renewable and answer.status_code == 401 and Problem(answer).slug in REFRESHABLE:
            yield from self._attempt(held)
            held = self._storage.load()
            answer = yield from self._send(self._with(request, held))
        if held:
            self._keep(good(answer), held)
        return good(answer)

    def _successor(self, used: Tokens, *, refused: bool = False) -> Generator[Step, Any, Tokens | None]:
        """The tokens that replace these: somebody else's, or those of the one refresh that all wait for."""
        seen = self._attempts
        yield Acquire()
        try:
            held = self._storage.load()
            if self._failure and self._attempts != seen and held in (used, None):
                raise self._failure
            if held and (held == used or held.due):
                yield from self._attempt(held)
            return self._storage.load()
        except (Problem, httpx.TransportError):
            if refused or used.expired or self._storage.load() is None:
                raise
            return used  # it was early: these are good for a little longer
        finally:
            self._release()

    def _attempt(self, held: Tokens) -> Steps:
        """Refresh; whoever waits meanwhile gets the same failure."""
        self._failure = None
        try:
            return (yield from self._refresh(held))
        except (Problem, httpx.TransportError) as error:
            self._failure = error
            raise
        finally:
            self._attempts += 1

    def _refresh(self, held: Tokens) -> Steps:
        answer = yield from self._exchange(held)
        if answer.is_error and Problem(answer).slug in OVER:
            self._storage.clear()
        self._keep(good(answer), held)
        return answer

    def _exchange(self, held: Tokens) -> Steps:
        """Send the refresh token, and the same one again where the answer is lost or is of somebody who does not know it."""
        longest_wait = self._longest_wait
        for _ in range(REFRESH_TRIES - 1):
            with contextlib.suppress(httpx.TransportError):
                answer = yield from self._present(held, min(self._timeout, REFRESH_TRY_SECONDS), longest_wait)
                if answer.status_code < 500 or retry_after(answer) is not None:
                    return answer
            longest_wait = 0.0  # a wait after a lost answer could outlast the 10 seconds
        return (yield from self._present(held, self._timeout, longest_wait))

    def _present(self, held: Tokens, timeout: float, longest_wait: float) -> Steps:
        """Send the refresh token once, apart from waits that the server asks for."""
        extensions = {"timeout": httpx.Timeout(timeout).as_dict()}
        request = httpx.Request("POST", self._base_url + REFRESH, headers={"Accept": "*/*"}, extensions=extensions)
        return (yield from self._send(self._with(request, held), longest_wait))

    def _refresh_asked_for(self, request: httpx.Request) -> Steps:
        held = self._storage.load()
        return (yield from self._attempt(held) if held else self._public(request))

    def _logout(self, request: httpx.Request) -> Steps:
        """End the session at the server; whatever it says, nothing is held afterwards."""
        held = self._storage.load()
        ended = httpx.Response(204, request=request)
        if held is None:
            return ended
        try:
            answer = yield from self._send(self._with(request, held))
        finally:
            self._storage.clear()
        return ended if answer.status_code == 401 else good(answer)

    def _send(self, request: httpx.Request, longest_wait: float | None = None) -> Steps:
        """Send, and again after the wait that the server asks for: it has done nothing yet (429, 503)."""
        waits = 0
        while True:
            answer: httpx.Response = yield Send(request)
            wait = retry_after(answer) if answer.status_code in {429, 503} else None
            longest = self._longest_wait if longest_wait is None else longest_wait
            if wait is None or wait > longest or waits == REPEATS:
                return answer
            waits += 1
            yield Wait(wait)

    def _with(self, request: httpx.Request, tokens: Tokens | None) -> httpx.Request:
        """The same request with exactly one credential: the server refuses two."""
        ending = request.url.path.endswith((REFRESH, LOGOUT))
        headers = httpx.Headers(request.headers)
        headers.pop("Authorization", None)
        bearer = tokens and (tokens.refresh_token if ending else tokens.access_token)
        if bearer:
            headers["Authorization"] = f"Bearer {bearer}"
        elif tokens:
            travelling = (f"{name}={value}" for name, value in tokens.cookies.items() if _travels(name, ending=ending))
            headers["Cookie"] = "; ".join(travelling)
            if tokens.csrf_token and request.method not in {"GET", "HEAD"}:
                headers["X-CSRF-TOKEN"] = tokens.csrf_token
        return httpx.Request(request.method, request.url, headers=headers, content=request.content, extensions=request.extensions)

    def _keep(self, answer: httpx.Response, held: Tokens) -> None:
        """Store what the server gave, before anybody uses it."""
        body = answer.json()
        tokens = replace(
            held,
            access_token=body.get("access_token"),
            refresh_token=body.get("refresh_token", held.refresh_token),
            csrf_token=body.get("csrf_token", held.csrf_token),
            cookies={**held.cookies, **{each.name: each.value or "" for each in answer.cookies.jar}},
            expires_at=time.time() + body["expires_in"],
            lifetime=float(body["expires_in"]),
        )
        self._storage.save(tokens)


def _travels(cookie: str, *, ending: bool) -> bool:
    """The refresh cookie goes to refresh and logout, the only ones that look at it, and the others everywhere else."""
    return cookie.endswith("refresh") is ending


def good(answer: httpx.Response) -> httpx.Response:
    """The answer, if it is what was asked for, and no page of somebody in between. Raises Problem."""
    if not answer.is_success or (answer.content and "json" not in answer.headers.get("Content-Type", "")):
        raise Problem(answer)
    return answer
