"""Writes that name the version they are about (RFC 9110, section 13.1.1): nobody overwrites what they have not seen."""

import re
from typing import Any

from flask import request

from ..problems import Problem, ValidationFailed

LONGEST = 256
# What is not ASCII reaches us as an empty value: the server that reads the request drops it.
PRINTABLE = "^[ -~]+$"
NO_VERSION = -1
PARAMETER: dict[str, Any] = {
    "in": "header",
    "name": "If-Match",
    "description": "The `ETag` that you have read, or `*` for any version. Without this header the answer is 428.",
    "schema": {"type": "string", "minLength": 1, "maxLength": LONGEST, "pattern": PRINTABLE},
    "example": "*",
}


class PreconditionRequired(Problem):
    """The request changes something that others may be changing too, and does not say which version it is about."""

    status = 428
    slug = "precondition-required"
    title = "If-Match is missing"
    remedy = "Read the resource and send its ETag as If-Match."


class PreconditionFailed(Problem):
    """Somebody has changed the resource since it was read."""

    status = 412
    slug = "precondition-failed"
    title = "The resource has changed"
    remedy = "Read it again, look at what is different, and send the new ETag."


def demand() -> None:
    """Let only a request with an If-Match pass. Raises PreconditionRequired, ValidationFailed."""
    sent = request.headers.get("If-Match")
    if sent is None:
        raise PreconditionRequired
    if len(sent) > LONGEST or not re.fullmatch(PRINTABLE, sent):
        raise ValidationFailed(errors=[{"header": "If-Match", "detail": f"Must be 1 to {LONGEST} characters of ASCII."}])


def wanted_version() -> int | None:
    """The version that the request is about; None for any. What is no ETag of ours matches no version."""
    sent = request.headers["If-Match"]
    if sent == "*":
        return None
    return int(sent[1:-1]) if re.fullmatch(r'"[0-9]{1,18}"', sent) else NO_VERSION


def check(actual: int, wanted: int | None) -> None:
    """Compare versions. Raises PreconditionFailed."""
    if wanted is not None and actual != wanted:
        raise PreconditionFailed
