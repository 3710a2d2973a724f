"""A guard for any ASGI application (FastAPI, Starlette, Quart): `app = Guard(app, verifier)`; the caller is `scope["caller"]`."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from .verify import Refused, Verifier

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


class Guard:
    """Middleware: only callers with every one of these roles and scopes reach the application; others get a problem."""

    def __init__(self, app: Application, verifier: Verifier, *, roles: Iterable[str] = (), scopes: Iterable[str] = ()) -> None:
        self._app = app
        self._verifier = verifier
        self._roles, self._scopes = tuple(roles), tuple(scopes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        sent = [value.decode("latin-1") for name, value in scope["headers"] if name == b"authorization"]
        header = sent[0] if len(sent) == 1 else None
        try:
            # In a thread: now and then the keys are read, and the mirror is asked over the network.
            scope["caller"] = await asyncio.to_thread(self._verifier.authorize, header, roles=self._roles, scopes=self._scopes)
        except Refused as refused:
            await _refuse(scope, send, refused)
            return
        await self._app(scope, receive, send)


async def _refuse(scope: Scope, send: Send, refused: Refused) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})  # before it was accepted: the client sees a 403
        return
    headers = [(name.lower().encode(), value.encode()) for name, value in refused.headers.items()]
    await send({"type": "http.response.start", "status": refused.status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(refused.problem).encode()})
