"""The parts of the document that operations refer to."""

from typing import Any

from ..http.guards import CSRF_HEADER
from ..problems import REALM

DESCRIPTION = """\
Keycard registers people, signs them in, issues, rotates and revokes tokens, and lets other services verify who is calling.

**Sign in** with `login` and send the access token as `Authorization: Bearer`. **Refresh** before it expires: each refresh token
works once, and using it again later ends its session. **Errors** are problems (RFC 9457); each `type` leads to a page
that explains it. **Rate limits** are in `x-rate-limits` of an operation and in `get_config`.
"""

PROBLEM = {
    "type": "object",
    "description": "What went wrong (RFC 9457).",
    "required": ["type", "title", "status", "detail", "request_id"],
    "properties": {
        "type": {
            "type": "string",
            "format": "uri-reference",
            "description": "The kind of problem; this URL explains it.",
        },
        "title": {"type": "string", "description": "The kind of problem in a few words."},
        "status": {"type": "integer", "minimum": 400, "maximum": 599, "description": "The HTTP status."},
        "detail": {"type": "string", "description": "What went wrong in this request, for a person to read."},
        "request_id": {"type": "string", "description": "The id of the request, for the operator to find it in the log."},
        "errors": {
            "type": "array",
            "description": "The faults of the input, if it has any.",
            "items": {"$ref": "#/components/schemas/InputError"},
        },
    },
    "additionalProperties": False,
}
INPUT_ERROR = {
    "type": "object",
    "description": "One fault of the input, and where it is.",
    "required": ["detail"],
    "properties": {
        "pointer": {
            "type": "string",
            "description": "The place of the fault in the body, as a JSON Pointer (RFC 6901).",
            "examples": ["/username"],
        },
        "parameter": {"type": "string", "description": "The name of the query parameter that is wrong.", "examples": ["limit"]},
        "header": {"type": "string", "description": "The name of the header that is wrong.", "examples": ["If-Match"]},
        "detail": {"type": "string", "description": "What is wrong with the value."},
    },
    "additionalProperties": False,
}
HEADERS: dict[str, dict[str, Any]] = {
    "RequestId": {
        "description": "The id of this request: the one you sent, if it has this pattern, else a new one.",
        "required": True,
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"},
    },
    "NoStore": {
        "description": "No cache may store this answer.",
        "required": True,
        "schema": {"type": "string", "const": "no-store"},
    },
    "CacheControl": {
        "description": "How many seconds any cache may store this answer.",
        "required": True,
        "schema": {"type": "string", "pattern": "^public, max-age=[0-9]+$"},
    },
    "RateLimit": {
        "description": "The limit that is nearest: requests left (`r`), seconds until all are available again (`t`).",
        "schema": {"type": "string", "pattern": '^"[a-z0-9_]+";r=[0-9]+;t=[0-9]+$'},
    },
    "RateLimitPolicy": {
        "description": "The limits that apply: the number of requests (`q`) in a window of so many seconds (`w`).",
        "schema": {"type": "string", "pattern": '^"[a-z0-9_]+";q=[0-9]+;w=[0-9]+(, "[a-z0-9_]+";q=[0-9]+;w=[0-9]+)*$'},
    },
    "RetryAfter": {
        "description": "Seconds to wait before the next try.",
        "required": True,
        "schema": {"type": "string", "pattern": "^[0-9]+$"},
    },
    "WWWAuthenticate": {
        "description": "How to authenticate (RFC 6750, section 3).",
        "required": True,
        "schema": {"type": "string", "pattern": f"^{REALM}"},
    },
    "Location": {
        "description": "The URL of the new resource.",
        "required": True,
        "schema": {"type": "string", "format": "uri-reference"},
    },
    "ETag": {
        "description": "The version of the resource, to send as `If-Match`.",
        "required": True,
        "schema": {"type": "string", "pattern": '^"[0-9]+"$'},
    },
    "Link": {
        "description": "The URL of the next page, if there is one (RFC 8288).",
        "schema": {"type": "string", "pattern": '^<[^>]+>; rel="next"$'},
    },
    "SetCookie": {
        "description": "The cookies of deliveries `hybrid` and `cookie`.",
        "schema": {"type": "string"},
    },
}


def security_schemes(access_cookie: str, refresh_cookie: str) -> dict[str, dict[str, str]]:
    """The ways to present a token; the names of cookies differ between http and https."""
    return {
        "accessToken": {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "The access token, from login or refresh. Signed, typed and verified according to RFC8725.",
        },
        "refreshToken": {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "The refresh token, for refresh and logout only. Signed, typed and verified according to RFC8725.",
        },
        "accessCookie": {
            "type": "apiKey",
            "in": "cookie",
            "name": access_cookie,
            "description": "The access token in delivery `cookie`; the browser sends it.",
        },
        "refreshCookie": {
            "type": "apiKey",
            "in": "cookie",
            "name": refresh_cookie,
            "description": "The refresh token in deliveries `hybrid` and `cookie`; the browser sends it.",
        },
        "csrfToken": {
            "type": "apiKey",
            "in": "header",
            "name": CSRF_HEADER,
            "description": "The CSRF value. Required with a cookie on POST, PUT, PATCH and DELETE.",
        },
    }
