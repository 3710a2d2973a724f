"""The two clients: one for threads, one for asyncio."""

import asyncio
import threading
import time
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, Self

import httpx

from .generated.client import AuthenticatedClient, Client
from .generated.operations import AsyncOperations, Operations
from .session import Acquire, Delivery, Session, Step, Wait
from .tokens import MemoryStorage, TokenStorage


class Keycard(Operations):
    """One person's session with one server, for any number of threads.

    base_url: of the server, `https://auth.example.com`. delivery: how the tokens travel. storage: where the tokens are kept; in
    memory if not given. timeout: seconds for one request. longest_wait: the longest `Retry-After` that is waited for, in seconds.
    transport: another way to the server, for tests. After a wait or a refresh a call is sent again by itself; what still fails is
    raised as Problem, and where there was no answer as httpx.TransportError.
    """

    def __init__(
        self,
        base_url: str,
        *,
        delivery: Delivery = "body",
        storage: TokenStorage | None = None,
        timeout: float = 30.0,
        longest_wait: float = 30.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        kept, lock = storage or MemoryStorage(), threading.Lock()
        session = Session(
            base_url, delivery=delivery, storage=kept, timeout=timeout, longest_wait=longest_wait, release=lock.release
        )
        options = {"base_url": base_url, "timeout": timeout, "transport": transport}
        self._public = Client(base_url).set_httpx_client(_Client(session, lock, signed=False, **options))
        self._signed = AuthenticatedClient(base_url, "").set_httpx_client(_Client(session, lock, signed=True, **options))

    def close(self) -> None:
        """Close the connections; the session goes on at the server."""
        for each in (self._public, self._signed):
            each.get_httpx_client().close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncKeycard(AsyncOperations):
    """The same for asyncio: one person's session with one server, for any number of tasks of one event loop."""

    def __init__(
        self,
        base_url: str,
        *,
        delivery: Delivery = "body",
        storage: TokenStorage | None = None,
        timeout: float = 30.0,
        longest_wait: float = 30.0,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        kept, lock = storage or MemoryStorage(), asyncio.Lock()
        session = Session(
            base_url, delivery=delivery, storage=kept, timeout=timeout, longest_wait=longest_wait, release=lock.release
        )
        options = {"base_url": base_url, "timeout": timeout, "transport": transport}
        self._public = Client(base_url).set_async_httpx_client(_AsyncClient(session, lock, signed=False, **options))
        self._signed = AuthenticatedClient(base_url, "").set_async_httpx_client(
            _AsyncClient(session, lock, signed=True, **options)
        )

    async def close(self) -> None:
        """Close the connections; the session goes on at the server."""
        for each in (self._public, self._signed):
            await each.get_async_httpx_client().aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


class _Client(httpx.Client):
    """Carries out, in this thread, the steps that the session makes of each request."""

    def __init__(self, session: Session, lock: threading.Lock, *, signed: bool, **options: Any) -> None:
        super().__init__(**options, cookies=_no_cookies())
        self._session, self._lock, self._is_signed = session, lock, signed

    def send(self, request: httpx.Request, **_: Any) -> httpx.Response:
        result: httpx.Response | httpx.TransportError | None = None
        steps = self._session.call(request, signed=self._is_signed)
        try:
            while True:
                step = steps.throw(result) if isinstance(result, Exception) else steps.send(result)
                result = self._do(step)
        except StopIteration as ended:
            answer: httpx.Response = ended.value
            return answer
        finally:
            steps.close()

    def _do(self, step: Step) -> httpx.Response | httpx.TransportError | None:
        if isinstance(step, Acquire):
            self._lock.acquire()
        elif isinstance(step, Wait):
            time.sleep(step.seconds)
        else:
            try:
                return super().send(step.request)
            except httpx.TransportError as error:
                return error
        return None


class _AsyncClient(httpx.AsyncClient):
    """The same in this task, without blocking the others. Cancelled, it gives the lock back."""

    def __init__(self, session: Session, lock: asyncio.Lock, *, signed: bool, **options: Any) -> None:
        super().__init__(**options, cookies=_no_cookies())
        self._session, self._lock, self._is_signed = session, lock, signed

    async def send(self, request: httpx.Request, **_: Any) -> httpx.Response:
        result: httpx.Response | httpx.TransportError | None = None
        steps = self._session.call(request, signed=self._is_signed)
        try:
            while True:
                step = steps.throw(result) if isinstance(result, Exception) else steps.send(result)
                result = await self._do(step)
        except StopIteration as ended:
            answer: httpx.Response = ended.value
            return answer
        finally:
            steps.close()

    async def _do(self, step: Step) -> httpx.Response | httpx.TransportError | None:
        if isinstance(step, Acquire):
            await self._lock.acquire()
        elif isinstance(step, Wait):
            await asyncio.sleep(step.seconds)
        else:
            try:
                return await super().send(step.request)
            except httpx.TransportError as error:
                return error
        return None


def _no_cookies() -> CookieJar:
    """The session keeps the cookies with the other tokens; httpx shall not."""
    return CookieJar(DefaultCookiePolicy(allowed_domains=[]))
