"""A guard for Flask: `@guard(verifier, roles=["editor"])` on a view; the caller is then `flask.g.caller`."""

import functools
import json
from collections.abc import Callable, Iterable
from typing import ParamSpec

import flask
from flask.typing import ResponseReturnValue

from .verify import Refused, Verifier

P = ParamSpec("P")
View = Callable[P, ResponseReturnValue]


def guard(verifier: Verifier, *, roles: Iterable[str] = (), scopes: Iterable[str] = ()) -> Callable[[View[P]], View[P]]:
    """Let only callers with every one of these roles and scopes pass; others get a problem (RFC 9457, RFC 6750)."""

    def decorate(view: View[P]) -> View[P]:
        @functools.wraps(view)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> ResponseReturnValue:
            try:
                flask.g.caller = verifier.authorize(flask.request.headers.get("Authorization"), roles=roles, scopes=scopes)
            except Refused as refused:
                return flask.Response(json.dumps(refused.problem), refused.status, refused.headers)
            made: ResponseReturnValue = flask.current_app.ensure_sync(view)(*args, **kwargs)
            return made

        return guarded

    return decorate
