"""Problems (RFC 9457): one class per fact, one registry, one renderer.

A feature's problems live in its `errors.py`; defining the class registers it. The registry drives the answers, the
OpenAPI document, the pages under `/problems` and the constants of the SDKs. Slugs are added, never renamed.
"""

import logging
import re
import secrets
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from flask import Flask, Response, current_app, g, request
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from .json_format import to_json

MEDIA_TYPE = "application/problem+json"
REALM = 'Bearer realm="keycard"'
# In `app.extensions`: a request of this process has failed on the database, and writing has not been tried again since.
DATABASE_FAILED = "keycard.database_failed"
REGISTRY: dict[str, type["Problem"]] = {}

# What PostgreSQL answers (SQLSTATE) while it cannot be worked with, in families of errors that are otherwise a fault of ours.
UNAVAILABLE = {
    "25006",  # it takes no writes: it is a standby, or was made read-only
    "42P01",  # a table is missing: the migrations have not been applied yet
    "42703",  # a column is missing, for the same reason
}

_HARMLESS = re.compile(r"[A-Za-z0-9._-]{1,64}")

logger = logging.getLogger("keycard")


class Problem(HTTPException):
    """An error a client can read: raise it anywhere, it is rendered in one place.

    A subclass sets `status`, `slug`, `title` and `remedy` (what the caller can do). Its docstring says what happened,
    for people. `challenge` is the auth-param list of `WWW-Authenticate` (RFC 6750, section 3), sent with every 401 and
    403. `retry_after` is the number of seconds of `Retry-After`. `commits` keeps what the transaction wrote.
    """

    status: ClassVar[int]
    slug: ClassVar[str]
    title: ClassVar[str]
    remedy: ClassVar[str]
    challenge: ClassVar[str] = ""
    commits: ClassVar[bool] = False
    retry_after: int | None = None

    def __init_subclass__(cls) -> None:
        if cls.slug in REGISTRY:
            raise TypeError(f"the slug {cls.slug!r} is taken")
        REGISTRY[cls.slug] = cls
        cls.code = cls.status

    def __init__(
        self,
        detail: str | None = None,
        *,
        errors: Sequence[Mapping[str, str]] = (),
        retry_after: int | None = None,
        **members: Any,
    ) -> None:
        """detail: this occurrence, in one sentence; the title when there is nothing to add.

        errors: faults of the input, each `{"pointer" | "parameter" | "header": ..., "detail": ...}`.
        members: extension members of the body.
        """
        super().__init__(detail or f"{self.title}.")
        self.errors = list(errors)
        self.members = members
        if retry_after is not None:
            self.retry_after = retry_after

    @classmethod
    def type_uri(cls) -> str:
        return f"/problems/{cls.slug}"

    @classmethod
    def explanation(cls) -> str:
        """What happened, for a person: the docstring as one paragraph."""
        return " ".join((cls.__doc__ or "").split())

    def get_headers(self, *args: Any, **kwargs: Any) -> list[tuple[str, str]]:
        headers = [("Content-Type", MEDIA_TYPE)]
        if self.status in {401, 403}:
            headers.append(("WWW-Authenticate", REALM + (f", {self.challenge}" if self.challenge else "")))
        if self.retry_after is not None:
            headers.append(("Retry-After", str(self.retry_after)))
        return headers

    def get_body(self, *args: Any, **kwargs: Any) -> str:
        return self.body(request_id()).decode()

    def body(self, request_id: str) -> bytes:
        """The answer to a request of this id."""
        body: dict[str, Any] = {
            "type": self.type_uri(),
            "title": self.title,
            "status": self.status,
            "detail": self.description,
            "request_id": request_id,
            **self.members,
        }
        if self.errors:
            body["errors"] = self.errors
        return to_json(body)


class MalformedRequest(Problem):
    """The request could not be read: its body is not strict JSON (RFC 8259, UTF-8, no duplicate names, no NaN), or its
    framing is broken."""

    status = 400
    slug = "malformed-request"
    title = "The request cannot be read"
    remedy = "Send valid UTF-8 JSON without duplicate member names; the detail names the fault."


class NotFound(Problem):
    """There is nothing at this address, or nothing that you may see."""

    status = 404
    slug = "not-found"
    title = "Not found"
    remedy = "Check the path and the id. Things of other people answer as if they did not exist."


class NoSuchMethod(Problem):
    """The address exists, but not with this method."""

    status = 405
    slug = "method-not-allowed"
    title = "Method not allowed"
    remedy = "Use one of the methods in the Allow header."


class PayloadTooLarge(Problem):
    """The request body is larger than this service accepts."""

    status = 413
    slug = "payload-too-large"
    title = "The request body is too large"
    remedy = "Send less. The limit is the operator's KEYCARD_MAX_BODY_BYTES."


class UnsupportedMediaType(Problem):
    """The operation reads JSON, and the request body is labelled as something else."""

    status = 415
    slug = "unsupported-media-type"
    title = "The request body is not JSON"
    remedy = "Send Content-Type: application/json."


class ValidationFailed(Problem):
    """The request is readable, but a value in it breaks a rule of the schema. Nothing was changed."""

    status = 422
    slug = "validation-failed"
    title = "The request breaks a rule"
    remedy = "Correct the values that `errors` points to. The rules are in the OpenAPI document."


class TooManyRequests(Problem):
    """A rate limit was reached. The limits of an operation are in the OpenAPI document and in GET /v1/config."""

    status = 429
    slug = "too-many-requests"
    title = "Too many requests"
    remedy = "Wait for the number of seconds in Retry-After."
    retry_after = 1


class InternalError(Problem):
    """Something went wrong that is not the caller's fault. It is logged under the request id."""

    status = 500
    slug = "internal-error"
    title = "Internal error"
    remedy = "Tell the operator the request id."


class ServiceUnavailable(Problem):
    """The service cannot answer right now: its database is away, or it has more work than it can take. Nothing was
    changed."""

    status = 503
    slug = "service-unavailable"
    title = "Service unavailable"
    remedy = "Try again after the number of seconds in Retry-After."
    retry_after = 1


_BY_STATUS: dict[int, type[Problem]] = {
    each.status: each
    for each in (
        MalformedRequest,
        NotFound,
        NoSuchMethod,
        PayloadTooLarge,
        UnsupportedMediaType,
        TooManyRequests,
        ServiceUnavailable,
    )
}


def request_id() -> str:
    """The id of this request: the caller's `X-Request-ID` where it is harmless, else a new one."""
    if "request_id" not in g:
        g.request_id = request_id_of(request.environ.get("HTTP_X_REQUEST_ID", ""))
    found: str = g.request_id
    return found


def request_id_of(sent: str) -> str:
    """The id of a request with this `X-Request-ID`."""
    return sent if _HARMLESS.fullmatch(sent) else secrets.token_hex(16)


def init_app(app: Flask) -> None:
    """Answer every error of every kind as a problem."""
    app.register_error_handler(HTTPException, _render_http_exception)
    for unavailable in (OperationalError, InterfaceError, PoolTimeout):
        app.register_error_handler(unavailable, _render_unavailable)
    app.register_error_handler(Exception, _render_crash)


def _render_http_exception(error: HTTPException) -> Response | HTTPException:
    if isinstance(error, Problem):
        return response(error)
    if error.code is None or error.code < 400:
        return error  # a redirect
    problem = _BY_STATUS.get(error.code, MalformedRequest if error.code < 500 else InternalError)()
    answer = response(problem)
    if isinstance(error, MethodNotAllowed):
        answer.headers["Allow"] = ", ".join(sorted(error.valid_methods or ()))
    return answer


def _render_unavailable(error: Exception) -> Response:
    # The driver's message can hold the statement and its values: only the kind of error is logged.
    current_app.extensions[DATABASE_FAILED] = True
    logger.error("database unavailable: %s", _driver_error(error))
    return response(ServiceUnavailable())


def _driver_error(error: Exception) -> str:
    return type(error.orig).__name__ if isinstance(error, DBAPIError) else type(error).__name__


def _render_crash(error: Exception) -> Response:
    if isinstance(error, DBAPIError) and (error.connection_invalidated or getattr(error.orig, "sqlstate", None) in UNAVAILABLE):
        return _render_unavailable(error)
    if current_app.config.get("PROPAGATE_CRASHES"):
        raise error
    logger.exception("unhandled error")
    return response(InternalError())


def response(problem: Problem) -> Response:
    """Render a problem."""
    g.problem = problem.slug  # for the line that the log gets
    return Response(problem.body(request_id()), status=problem.status, headers=problem.get_headers())
