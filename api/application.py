"""Flask, with less to do in every request.

Hooks, signals and error handlers are called as Flask calls them, in its order. What Flask looks for anew in every request,
although it cannot change once the first one has come, is found once: where a fixed path leads, and the hooks of an endpoint.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property, lru_cache
from inspect import iscoroutinefunction
from typing import Any, NamedTuple

import flask
import orjson
from flask import Flask, request
from flask.ctx import RequestContext
from flask.globals import request_ctx
from flask.json.provider import DefaultJSONProvider
from flask.signals import request_tearing_down
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException
from werkzeug.routing import MapAdapter, Rule
from werkzeug.wsgi import get_host

Hook = Callable[..., Any]


def to_json(value: Any) -> bytes:
    """Return a value as JSON, in UTF-8."""
    try:
        return orjson.dumps(value, option=orjson.OPT_PASSTHROUGH_SUBCLASS)
    except TypeError:  # what JSON can say and orjson cannot: lone surrogates, huge numbers, dicts of a special kind
        return json.dumps(value, default=DefaultJSONProvider.default).encode()


class Json(DefaultJSONProvider):
    """Flask's JSON, which answers in less time."""

    sort_keys = False
    ensure_ascii = False

    def response(self, *args: Any, **kwargs: Any) -> flask.Response:
        return Response(to_json(self._prepare_response_obj(args, kwargs)), mimetype=self.mimetype)


_LOCATIONS = {"Location", "Content-Location"}  # which may need encoding


class Response(flask.Response):
    """An answer. A complete one is sent as it is; Werkzeug would copy its headers to look for what may be missing."""

    def get_wsgi_response(self, environ: dict[str, Any]) -> tuple[Iterable[bytes], str, list[tuple[str, str]]]:
        headers = self.headers.to_wsgi_list()
        names = {name for name, _ in headers}
        complete = "Content-Length" in names and names.isdisjoint(_LOCATIONS) and not self._on_close and self.is_sequence
        if not complete or self.status_code == 304 or environ["REQUEST_METHOD"] == "HEAD":
            return super().get_wsgi_response(environ)
        if self.status_code == 204:
            return (), self.status, [each for each in headers if each[0] != "Content-Length"]
        return self.response, self.status, headers  # type: ignore[return-value]  # a sequence of bytes


class FixedContext(RequestContext):
    """The context of a request whose path leads to one rule, for which no router is asked."""

    def __init__(self, app: Flask, environ: dict[str, Any], rule: Rule) -> None:
        self.app = app
        self.request = app.request_class(environ)
        self.request.json_module = app.json
        self.flashes = None
        self._session = None
        self._after_request_functions = []
        self._cv_tokens = []
        try:
            self.request.host = get_host(environ, app.config["TRUSTED_HOSTS"])
        except HTTPException as error:
            self.request.routing_exception = error
        else:
            self.request.url_rule, self.request.view_args = rule, {}

    @cached_property
    def url_adapter(self) -> MapAdapter | None:  # type: ignore[override]
        """What makes URLs, where somebody wants one."""
        return self.app.create_url_adapter(self.request)

    def push(self) -> None:
        self.url_adapter = None  # Flask would now ask it for the rule
        super().push()
        del self.url_adapter


class _Hooks(NamedTuple):
    """What is called around each request of one endpoint."""

    before: tuple[Hook, ...]
    after: tuple[Hook, ...]
    teardown: tuple[Hook, ...]


class Keycard(Flask):
    """See the docstring of the module."""

    json_provider_class = Json
    response_class = Response

    def ensure_sync(self, func: Hook) -> Hook:
        return super().ensure_sync(func) if _is_coroutine(getattr(func, "__func__", func)) else func

    def request_context(self, environ: dict[str, Any]) -> RequestContext:
        rule = self._fixed.get((environ["REQUEST_METHOD"], environ["PATH_INFO"]))
        if rule is None or "HTTP_UPGRADE" in environ:
            return super().request_context(environ)
        return FixedContext(self, environ, rule)

    @cached_property
    def _fixed(self) -> dict[tuple[str, str], Rule]:
        """Rules by method and path, of those without variables. What asks for more is left to the router."""
        found: dict[tuple[str, str], Rule] = {}
        if self.url_map.host_matching or self.subdomain_matching:
            return found
        for rule in self.url_map.iter_rules():
            if not (rule.arguments or rule.redirect_to or rule.alias or rule.websocket):
                for method in rule.methods or ():
                    found.setdefault((method, rule.rule), rule)
        return found

    def preprocess_request(self) -> ResponseReturnValue | None:
        if self.url_value_preprocessors:
            return super().preprocess_request()
        for hook in self._hooks(request.endpoint).before:
            answer: ResponseReturnValue | None = hook()
            if answer is not None:
                return answer
        return None

    def process_response(self, response: flask.Response) -> flask.Response:
        context: Any = request_ctx
        context = context._get_current_object()  # noqa: SLF001 - once instead of five times
        for hook in context._after_request_functions:  # noqa: SLF001 - as Flask does
            response = self.ensure_sync(hook)(response)
        for hook in self._hooks(context.request.endpoint).after:
            response = hook(response)
        session = context._session  # noqa: SLF001 - as Flask does
        if not self.session_interface.is_null_session(session):
            self.session_interface.save_session(self, session, response)
        return response

    def do_teardown_request(self, exc: BaseException | None = None) -> None:
        for hook in self._hooks(request.endpoint).teardown:
            hook(exc)
        request_tearing_down.send(self, _async_wrapper=self.ensure_sync, exc=exc)

    def _hooks(self, endpoint: str | None) -> _Hooks:
        found = self._known_hooks.get(endpoint)
        if found is None:
            found = self._known_hooks[endpoint] = self._find_hooks(request.blueprints)
        return found

    @cached_property
    def _known_hooks(self) -> dict[str | None, _Hooks]:
        return {}

    def _find_hooks(self, blueprints: Sequence[str]) -> _Hooks:
        inwards, outwards = (None, *reversed(blueprints)), (*blueprints, None)
        return _Hooks(
            tuple(self.ensure_sync(hook) for name in inwards for hook in self.before_request_funcs.get(name, ())),
            tuple(self.ensure_sync(hook) for name in outwards for hook in reversed(self.after_request_funcs.get(name, ()))),
            tuple(self.ensure_sync(hook) for name in outwards for hook in reversed(self.teardown_request_funcs.get(name, ()))),
        )


_is_coroutine = lru_cache(maxsize=1024)(iscoroutinefunction)
