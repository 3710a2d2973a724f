"""Discovery on the wire."""

from marshmallow import fields

from ..http import Schema


class Metadata(Schema):
    """Authorization server metadata (RFC 8414, section 2)."""

    issuer = fields.String(
        required=True, metadata={"description": "The `iss` of every token.", "example": "https://auth.example.com"}
    )
    jwks_uri = fields.String(
        required=True,
        metadata={"description": "The URL of the signing keys.", "example": "https://auth.example.com/.well-known/jwks.json"},
    )
    service_documentation = fields.String(
        required=True, metadata={"description": "The URL of the documentation.", "example": "https://auth.example.com/docs"}
    )
    response_types_supported = fields.List(
        fields.String(),
        required=True,
        metadata={"description": "Empty, because there is no authorization endpoint.", "example": []},
    )
    grant_types_supported = fields.List(
        fields.String(),
        required=True,
        metadata={"description": "Empty: sign in with the operation `login`.", "example": []},
    )


class PasswordPolicy(Schema):
    """What a new password must be."""

    name = fields.String(required=True, metadata={"description": "The name of the policy.", "example": "classic"})
    min_length = fields.Integer(required=True, metadata={"description": "The least number of characters.", "example": 10})
    max_length = fields.Integer(required=True, metadata={"description": "The greatest number of characters.", "example": 128})
    pattern = fields.String(
        required=True,
        metadata={"description": "A regular expression that the password must match somewhere; empty for none.", "example": ""},
    )
    description = fields.String(
        required=True, metadata={"description": "The policy in words.", "example": "10 to 128 characters."}
    )


class TokenLifetimes(Schema):
    """How long things last, in seconds."""

    access_token = fields.Integer(required=True, metadata={"description": "Of an access token.", "example": 900})
    refresh_token = fields.Integer(
        required=True,
        metadata={"description": "Of a refresh token; each refresh returns one with the full lifetime.", "example": 604800},
    )
    session = fields.Integer(
        required=True, metadata={"description": "Of a session; refreshing does not extend it.", "example": 2592000}
    )
    refresh_grace = fields.Integer(
        required=True,
        metadata={"description": "How long a used refresh token can be sent again for the same new pair.", "example": 10},
    )
    fresh = fields.Integer(
        required=True, metadata={"description": "How long a token counts as fresh after the password was given.", "example": 600}
    )


class RateLimit(Schema):
    """One part of a rate limit, each of which must have room."""

    name = fields.String(
        required=True,
        metadata={"description": "The name of the limit in the RateLimit-Policy header.", "example": "login_address"},
    )
    limit = fields.Integer(required=True, metadata={"description": "The number of requests.", "example": 20})
    window = fields.Integer(required=True, metadata={"description": "The window in seconds.", "example": 60})
    counts = fields.String(
        required=True, metadata={"description": "Whose requests are counted together.", "example": "per address"}
    )


class CookieNamesSchema(Schema):
    """What the cookies are called here, and the header that answers the CSRF cookie."""

    access = fields.String(
        required=True, metadata={"description": "The cookie of the access token.", "example": "__Host-keycard_access"}
    )
    refresh = fields.String(
        required=True, metadata={"description": "The cookie of the refresh token.", "example": "__Host-keycard_refresh"}
    )
    csrf = fields.String(
        required=True, metadata={"description": "The cookie of the CSRF value.", "example": "__Host-keycard_csrf"}
    )
    csrf_header = fields.String(
        required=True, metadata={"description": "The header to send the CSRF value in.", "example": "X-CSRF-TOKEN"}
    )


class Features(Schema):
    """What is switched on."""

    registration = fields.Boolean(required=True, metadata={"description": "Whether anybody may register.", "example": True})
    documentation = fields.Boolean(required=True, metadata={"description": "Whether /docs is served.", "example": True})
    rate_limits = fields.Boolean(required=True, metadata={"description": "Whether rate limits are enforced.", "example": True})
    cross_origin = fields.Boolean(
        required=True, metadata={"description": "Whether pages of other origins may call this API (CORS).", "example": False}
    )


class ConfigSchema(Schema):
    """What a client needs to know of this deployment."""

    version = fields.String(required=True, metadata={"description": "The version of Keycard.", "example": "0.1.0"})
    environment = fields.String(
        required=True, metadata={"description": "`development` or `production`.", "example": "production"}
    )
    features = fields.Nested(Features, required=True, metadata={"description": "What is switched on."})
    deliveries = fields.List(
        fields.String(),
        required=True,
        metadata={"description": "The values of `delivery` at login.", "example": ["body", "hybrid", "cookie"]},
    )
    password_policy = fields.Nested(PasswordPolicy, required=True, metadata={"description": "The rules for new passwords."})
    token_lifetimes = fields.Nested(
        TokenLifetimes, required=True, metadata={"description": "How long tokens and sessions are valid, in seconds."}
    )
    rate_limits = fields.List(
        fields.Nested(RateLimit), required=True, metadata={"description": "The rate limits; empty if there are none."}
    )
    cookies = fields.Nested(
        CookieNamesSchema, required=True, metadata={"description": "The names of the cookies and of the CSRF header."}
    )


class ProblemType(Schema):
    """A kind of problem."""

    type = fields.String(
        required=True, metadata={"description": "The `type` of a problem of this kind.", "example": "/problems/not-found"}
    )
    slug = fields.String(
        required=True, metadata={"description": "The name of the kind; it never changes.", "example": "not-found"}
    )
    title = fields.String(required=True, metadata={"description": "The kind in a few words.", "example": "Not found"})
    status = fields.Integer(required=True, metadata={"description": "The HTTP status.", "example": 404})
    explanation = fields.String(
        required=True, metadata={"description": "What happened.", "example": "There is nothing at this address."}
    )
    remedy = fields.String(required=True, metadata={"description": "What to do.", "example": "Check the path and the id."})


class ProblemTypes(Schema):
    """Every kind of problem this service can answer."""

    items = fields.List(
        fields.Nested(ProblemType), required=True, metadata={"description": "Every kind of problem, sorted by slug."}
    )
