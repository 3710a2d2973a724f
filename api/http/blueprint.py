"""Our Blueprint: what an operation demands is said once, and both enforced and documented.

    @blp.route("/refresh")
    class Refresh(MethodView):
        @blp.operation("refresh", refresh_token)
        @blp.response(200, TokenPair)
        @blp.problems(RefreshTokenReused, SessionEnded)
        def post(self): ...

Default is deny: an operation without `@blp.operation` stops the start of the app.
"""

from collections.abc import Callable, Mapping
from copy import deepcopy
from functools import wraps
from typing import Any, TypeVar, cast

import flask_smorest
from flask import Request, Response, current_app, request

from ..config import settings
from ..problems import (
    MEDIA_TYPE,
    MalformedRequest,
    PayloadTooLarge,
    Problem,
    ServiceUnavailable,
    TooManyRequests,
    UnsupportedMediaType,
    ValidationFailed,
)
from . import guards, headers, limits, preconditions
from .body import Parser
from .guards import CSRF_METHODS, Security
from .limits import Limit
from .schemas import Schema

F = TypeVar("F", bound=Callable[..., Any])


def _declare(key: str, value: Any) -> Callable[[F], F]:
    """Keep a declaration where smorest keeps its own; it survives every wrapper, in any order."""

    def decorate(function: F) -> F:
        function._apidoc = {**deepcopy(getattr(function, "_apidoc", {})), key: value}  # type: ignore[attr-defined]  # noqa: SLF001
        return function

    return decorate


def _bodiless(function: F, status: int) -> F:
    """Answer nothing where the method returns nothing; smorest would say `null`."""

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        found = function(*args, **kwargs)
        body, *more = found if isinstance(found, tuple) else (found,)
        if body is not None:
            return found
        answer = Response(b"", status)
        del answer.headers["Content-Type"]
        return (answer, *more) if more else answer

    return cast(F, call)


class Blueprint(flask_smorest.Blueprint):
    """A smorest blueprint whose operations declare who may call them, how often, and what can go wrong."""

    ARGUMENTS_PARSER = Parser()

    def __init__(self, name: str, import_name: str, *, description: str, **kwargs: Any) -> None:
        super().__init__(name, import_name, description=description, **kwargs)
        self.before_request(_enforce)
        self._prepare_doc_cbks.append(_document)

    def arguments(self, schema: type[Schema], *, location: str = "json", example: Any = None) -> Callable[[F], F]:
        """Load the body, or with location="query" the query string, and pass it as the last positional argument.

        example: of the body, where its members' own examples do not go together.
        """
        # An instance: webargs would make one of a class in every request.
        decorate: Callable[[F], F] = super().arguments(schema(), location=location, example=example)
        return decorate

    def response(
        self,
        status: int,
        schema: type[Schema] | None = None,
        *,
        description: str,
        headers: Mapping[str, Any] | None = None,
    ) -> Callable[[F], F]:
        """Dump what the method returns. headers: those it sets itself, as OpenAPI Header objects."""
        decorate: Callable[[F], F] = super().response(status, schema, description=description, headers=headers)
        return decorate if schema else lambda function: decorate(_bodiless(function, status))

    @staticmethod
    def doc(**members: Any) -> Callable[[F], F]:
        """Add members to the operation in the document, for what no declaration can say."""
        decorate: Callable[[F], F] = flask_smorest.Blueprint.doc(**members)
        return decorate

    @staticmethod
    def operation(operation_id: str, security: Security) -> Callable[[F], F]:
        """Name the operation, as a function is named, and say what its caller must present."""
        return _declare("operation", (operation_id, security))

    @staticmethod
    def limited(limit: Limit) -> Callable[[F], F]:
        """Count calls against a row of the table in `limits`; without it, public and writing operations get GENERAL."""
        return _declare("limit", limit)

    @staticmethod
    def problems(*kinds: type[Problem]) -> Callable[[F], F]:
        """Name the problems that the operation itself raises; those of its guards and arguments are known."""
        return _declare("problems", kinds)

    @staticmethod
    def conditional(function: F) -> F:
        """Demand `If-Match`; the method compares it with `preconditions.wanted_version()`."""
        return _declare("conditional", value=True)(function)

    @staticmethod
    def cached(seconds: int) -> Callable[[F], F]:
        """Allow anybody to keep a good answer for some seconds; without it nothing may be kept."""
        return _declare("cached", seconds)

    @staticmethod
    def links(**links: Mapping[str, Any]) -> Callable[[F], F]:
        """Describe where a client can go from the good answer (OpenAPI Link objects)."""
        return _declare("links", links)

    def register_views_in_doc(self, api: Any, app: Any, spec: Any, *, name: str, parameters: Any) -> None:
        for endpoint, methods in self._docs.items():
            for method, info in methods.items():
                if method != "parameters" and "operation" not in info:
                    raise RuntimeError(f"{name}.{endpoint} {method.upper()} declares no security: add @blp.operation")
        super().register_views_in_doc(api, app, spec, name=name, parameters=parameters)


def _declared(called: Request) -> Mapping[str, Any]:
    """The declaration of the operation that a request calls; HEAD is answered by GET."""
    view: Any = current_app.view_functions[called.endpoint or ""]
    if hasattr(view, "view_class"):
        view = getattr(view.view_class, "get" if called.method == "HEAD" else called.method.lower())
    found: Mapping[str, Any] = view._apidoc  # noqa: SLF001
    return found


def _called() -> Request:
    """The request itself: every use of `request` would look for it again."""
    found: Request = request._get_current_object()  # type: ignore[attr-defined]
    return found


def _enforce() -> None:
    """Judge the credentials, then count, and only then let the body be read."""
    called = _called()
    if called.method == "OPTIONS":
        return
    declared = _declared(called)
    security: Security = declared["operation"][1]
    guards.authenticate(security, called)
    limits.count(_limit_of(declared, called.method))
    if "conditional" in declared:
        preconditions.demand()
    if "cached" in declared:
        headers.let_keep(declared["cached"])


def _limit_of(declared: Mapping[str, Any], method: str) -> Limit:
    """Reads of a signed-in caller are not counted unless they say so: they cost one indexed statement."""
    if "limit" in declared:
        limit: Limit = declared["limit"]
        return limit
    public = not declared["operation"][1].tokens
    return limits.GENERAL if public or method.upper() in CSRF_METHODS else limits.UNLIMITED


def _document(doc: dict[str, Any], info: dict[str, Any], *, method: str, **_: Any) -> dict[str, Any]:
    """Complete an operation with everything that the declaration implies."""
    operation_id, security = info["operation"]
    limit = _limit_of(info, method)
    good = {str(int(code)): found for code, found in doc.get("responses", {}).items() if str(code) != "422"}
    for code, response in good.items():
        response["headers"] = {
            **_common_headers(limit),
            "Cache-Control": _header("CacheControl" if "cached" in info else "NoStore"),
            **response.get("headers", {}),
        }
        if "links" in info and code.startswith("2"):
            response["links"] = info["links"]
        if code == "204":
            response.pop("content", None)
    responses = good | _problem_responses(_problems_of(info, method, security, limit), limit)
    described = {"operationId": operation_id, **guards.documented(security, method)}
    if limit.rates and settings().ratelimit_enabled:
        described["x-rate-limits"] = [f"{part.text} {rate.counts}" for rate in limit.rates for part in rate.parts(settings())]
    if "conditional" in info:
        described["parameters"] = [*doc.get("parameters", []), preconditions.PARAMETER]
    return {**doc, **described, "responses": dict(sorted(responses.items()))}


def _header(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/headers/{name}"}


def _common_headers(limit: Limit) -> dict[str, Any]:
    headers = {"X-Request-ID": _header("RequestId")}
    if limit.rates:
        headers |= {"RateLimit": _header("RateLimit"), "RateLimit-Policy": _header("RateLimitPolicy")}
    return headers


def _problems_of(info: Mapping[str, Any], method: str, security: Security, limit: Limit) -> list[type[Problem]]:
    """Every problem of an operation: of its guards, its limits, its arguments, and its own."""
    found = [*info.get("problems", ()), *guards.refusals(security, method)]
    locations = {each.get("in") for each in info.get("arguments", {}).get("parameters", [])}
    has_body = "requestBody" in info.get("arguments", {}) or "json" in locations
    if has_body:
        found += [MalformedRequest, PayloadTooLarge, UnsupportedMediaType]
    if "conditional" in info:
        found += [preconditions.PreconditionRequired, preconditions.PreconditionFailed]
    if "arguments" in info or "conditional" in info:
        found.append(ValidationFailed)
    if limit.rates:
        found.append(TooManyRequests)
    if security.tokens:
        found.append(ServiceUnavailable)
    return list(dict.fromkeys(found))


def _problem_responses(kinds: list[type[Problem]], limit: Limit) -> dict[str, Any]:
    by_status: dict[str, list[type[Problem]]] = {}
    for kind in kinds:
        by_status.setdefault(str(kind.status), []).append(kind)
    return {status: _problem_response(sorted(found, key=lambda each: each.slug), limit) for status, found in by_status.items()}


def _problem_response(kinds: list[type[Problem]], limit: Limit) -> dict[str, Any]:
    status = kinds[0].status
    headers = {**_common_headers(limit), "Cache-Control": _header("NoStore")}
    if status in {401, 403}:
        headers["WWW-Authenticate"] = _header("WWWAuthenticate")
    if status in {429, 503}:
        headers["Retry-After"] = _header("RetryAfter")
    return {
        "description": "; ".join(f"{kind.title} (`{kind.slug}`)" for kind in kinds) + ".",
        "headers": headers,
        "content": {
            MEDIA_TYPE: {
                "schema": {"$ref": "#/components/schemas/Problem"},
                "examples": {kind.slug: {"summary": kind.title, "value": example(kind)} for kind in kinds},
            }
        },
    }


def example(kind: type[Problem]) -> dict[str, Any]:
    """An answer of this kind, as the document shows it."""
    shown: dict[str, Any] = {
        "type": kind.type_uri(),
        "title": kind.title,
        "status": kind.status,
        "detail": f"{kind.title}.",
        "request_id": "9f1c2d3e4b5a69788796a5b4c3d2e1f0",
    }
    if kind is ValidationFailed:
        shown["errors"] = [{"pointer": "/username", "detail": "Must be 3 to 80 characters long."}]
    return shown
