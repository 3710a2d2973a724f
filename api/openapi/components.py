"""The parts of the document that operations refer to."""

from typing import Any

from ..http.guards import CSRF_HEADER
from ..problems import REALM

DESCRIPTION = """\
Keycard registers people, signs them in, issues, rotates and revokes tokens, and tells every other service who is calling.

**Sign in** with `login` and send the access token as `Authorization: Bearer`. **Refresh** before it expires: each refresh token
works once, and one that comes back later ends its session. **Errors** are problems (RFC 9457); each `type` leads to a page
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
            "description": "The kind of problem; leads to its explanation.",
        },
        "title": {"type": "string", "description": "The kind of problem in a few words."},
        "status": {"type": "integer", "minimum": 400, "maximum": 599, "description": "The HTTP status."},
        "detail": {"type": "string", "description": "This occurrence, for a person."},
        "request_id": {"type": "string", "description": "Under which the operator finds it in the log."},
        "errors": {
            "type": "array",
            "description": "Faults of the input.",
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
            "description": "In the body, as a JSON Pointer (RFC 6901).",
            "examples": ["/username"],
        },
        "parameter": {"type": "string", "description": "The name of a query parameter.", "examples": ["limit"]},
        "header": {"type": "string", "description": "The name of a header.", "examples": ["If-Match"]},
        "detail": {"type": "string", "description": "What is wrong with it."},
    },
    "additionalProperties": False,
}
HEADERS: dict[str, dict[str, Any]] = {
    "RequestId": {
        "description": "The id of this request: yours if you sent a harmless one, else a new one.",
        "required": True,
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"},
    },
    "NoStore": {
        "description": "Nothing of this may be kept.",
        "required": True,
        "schema": {"type": "string", "const": "no-store"},
    },
    "CacheControl": {
        "description": "How long the answer may be kept, by anybody.",
        "required": True,
        "schema": {"type": "string", "pattern": "^public, max-age=[0-9]+$"},
    },
    "RateLimit": {
        "description": "The limit with the least room: requests left (`r`), seconds until it is whole again (`t`).",
        "schema": {"type": "string", "pattern": '^"[a-z0-9_]+";r=[0-9]+;t=[0-9]+$'},
    },
    "RateLimitPolicy": {
        "description": "The limits that apply: requests (`q`) per window of seconds (`w`).",
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
        "description": "Where the new resource is.",
        "required": True,
        "schema": {"type": "string", "format": "uri-reference"},
    },
    "ETag": {
        "description": "The version of the resource.",
        "required": True,
        "schema": {"type": "string", "pattern": '^"[0-9]+"$'},
    },
    "Link": {
        "description": "The next page, if there is one (RFC 8288).",
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
            "description": "The access token, from login or refresh. Signed, typed and verified as RFC8725 asks.",
        },
        "refreshToken": {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "The refresh token. Only refresh and logout take it. Signed, typed and verified as RFC8725 asks.",
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
            "description": "The CSRF value, beside a cookie on every method that changes something.",
        },
    }
