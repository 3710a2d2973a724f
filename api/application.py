"""Flask, with less to do in every request.

Hooks, signals and error handlers are called as Flask calls them, in its order. What Flask looks for anew in every request,
although it cannot change once the first one has come, is found once: where a fixed path leads, and the hooks of an endpoint.
"""

import json
import re
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
from werkzeug.routing import MapAdapter, Rule

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


_PLAIN_HOST = re.compile(r"[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})*(?::[0-9]{1,5})?")
_SPECIAL = {"location", "content-location"}  # which may need encoding


class Response(flask.Response):
    """An answer. A complete one is sent as it is; Werkzeug would copy its headers to look for what may be missing."""

    def get_wsgi_response(self, environ: dict[str, Any]) -> tuple[Iterable[bytes], str, list[tuple[str, str]]]:
        headers = self.headers.to_wsgi_list()
        names = {name.lower() for name, _ in headers}
        body: Any = self.response
        whole = type(body) is list and all(type(part) is bytes for part in body) and not self._on_close
        complete = whole and "content-length" in names and names.isdisjoint(_SPECIAL)
        if not complete or self.status_code < 200 or self.status_code == 304 or environ["REQUEST_METHOD"] == "HEAD":
            return super().get_wsgi_response(environ)
        if self.status_code == 204:
            return (), self.status, [each for each in headers if each[0].lower() != "content-length"]
        return body, self.status, headers


class FixedContext(RequestContext):
    """The context of a request whose path leads to one rule, for which no router is asked."""

    def __init__(self, app: Flask, environ: dict[str, Any], rule: Rule) -> None:
        self.app = app
        self.request = app.request_class(environ)
        self.request.json_module = app.json
        self.request.url_rule, self.request.view_args = rule, {}
        self.flashes = None
        self._session = None
        self._after_request_functions = []
        self._cv_tokens = []

    @cached_property
    def url_adapter(self) -> MapAdapter | None:  # type: ignore[override]
        """What makes URLs, where somebody wants one."""
        return self.app.create_url_adapter(self.request)

    def push(self) -> None:
        self.url_adapter = None  # Flask would now ask it for the rule
        try:
            super().push()
        finally:
            del self.url_adapter

    def copy(self) -> RequestContext:
        return RequestContext(self.app, self.request.environ, self.request, self._session)


class _Hooks(NamedTuple):
    """What is called around each request of one endpoint."""

    before: tuple[Hook, ...]
    after: tuple[Hook, ...]
    teardown: tuple[Hook, ...]


class Keycard(Flask):
    """See the docstring of the module."""

    json_provider_class = Json

    def ensure_sync(self, func: Hook) -> Hook:
        return super().ensure_sync(func) if _is_coroutine(getattr(func, "__func__", func)) else func

    def request_context(self, environ: dict[str, Any]) -> RequestContext:
        if self._got_first_request:  # from here on nothing is added
            rule = self._fixed.get((environ["REQUEST_METHOD"], environ.get("PATH_INFO", "")))
            if rule and "HTTP_UPGRADE" not in environ and _PLAIN_HOST.fullmatch(environ.get("HTTP_HOST", "")):
                return FixedContext(self, environ, rule)
        return super().request_context(environ)

    @cached_property
    def _fixed(self) -> dict[tuple[str, str], Rule]:
        """Rules by method and path, of those without variables. What asks for more is left to the router."""
        if self.url_map.host_matching or self.subdomain_matching or self.config["TRUSTED_HOSTS"] is not None:
            return {}
        found: dict[tuple[str, str], Rule | None] = {}
        for rule in self.url_map.iter_rules():
            unusual = rule.redirect_to or rule.alias or rule.websocket or rule.build_only or rule.subdomain or rule.host
            for method in rule.methods or ():
                # Of two with the same path the router knows which one comes first.
                twice = (method, rule.rule) in found
                found[method, rule.rule] = None if twice or unusual or rule.arguments else rule
        return {key: rule for key, rule in found.items() if rule}

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
            response = super().ensure_sync(hook)(response)  # made for this request: not to be remembered
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
            found = self._find_hooks(request.blueprints)
            if self._got_first_request:
                self._known_hooks[endpoint] = found
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
