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
        metadata={"description": "The signing keys.", "example": "https://auth.example.com/.well-known/jwks.json"},
    )
    service_documentation = fields.String(
        required=True, metadata={"description": "This API for people.", "example": "https://auth.example.com/docs"}
    )
    response_types_supported = fields.List(
        fields.String(),
        required=True,
        metadata={"description": "None: there is no authorization endpoint.", "example": []},
    )
    grant_types_supported = fields.List(
        fields.String(),
        required=True,
        metadata={"description": "None: sign in with the login operation.", "example": []},
    )


class PasswordPolicy(Schema):
    """What a new password must be."""

    name = fields.String(required=True, metadata={"description": "The preset.", "example": "classic"})
    min_length = fields.Integer(required=True, metadata={"description": "Characters at least.", "example": 10})
    max_length = fields.Integer(required=True, metadata={"description": "Characters at most.", "example": 128})
    pattern = fields.String(
        required=True, metadata={"description": "A regular expression it must contain; empty for none.", "example": ""}
    )
    description = fields.String(
        required=True, metadata={"description": "The policy in words.", "example": "10 to 128 characters."}
    )


class TokenLifetimes(Schema):
    """How long things last, in seconds."""

    access_token = fields.Integer(required=True, metadata={"description": "An access token.", "example": 900})
    refresh_token = fields.Integer(
        required=True, metadata={"description": "A refresh token; each rotation starts it anew.", "example": 604800}
    )
    session = fields.Integer(required=True, metadata={"description": "A session, however often refreshed.", "example": 2592000})
    refresh_grace = fields.Integer(
        required=True, metadata={"description": "How long a spent refresh token answers its successor.", "example": 10}
    )
    fresh = fields.Integer(required=True, metadata={"description": "How long after a password a token is fresh.", "example": 600})


class RateLimit(Schema):
    """One part of a rate limit, each of which must have room."""

    name = fields.String(
        required=True, metadata={"description": "As in the RateLimit-Policy header.", "example": "login_address"}
    )
    limit = fields.Integer(required=True, metadata={"description": "Requests.", "example": 20})
    window = fields.Integer(required=True, metadata={"description": "Seconds.", "example": 60})
    counts = fields.String(required=True, metadata={"description": "What is counted.", "example": "per address"})


class CookieNamesSchema(Schema):
    """What the cookies are called here, and the header that answers the CSRF cookie."""

    access = fields.String(required=True, metadata={"description": "The access token.", "example": "__Host-keycard_access"})
    refresh = fields.String(required=True, metadata={"description": "The refresh token.", "example": "__Host-keycard_refresh"})
    csrf = fields.String(required=True, metadata={"description": "The CSRF value.", "example": "__Host-keycard_csrf"})
    csrf_header = fields.String(required=True, metadata={"description": "Where to send it.", "example": "X-CSRF-TOKEN"})


class Features(Schema):
    """What is switched on."""

    registration = fields.Boolean(required=True, metadata={"description": "Anybody may register.", "example": True})
    documentation = fields.Boolean(required=True, metadata={"description": "/docs is served.", "example": True})
    rate_limits = fields.Boolean(required=True, metadata={"description": "Requests are counted.", "example": True})
    cross_origin = fields.Boolean(
        required=True, metadata={"description": "Browsers of some other origins may call.", "example": False}
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
    password_policy = fields.Nested(PasswordPolicy, required=True, metadata={"description": "For new passwords."})
    token_lifetimes = fields.Nested(TokenLifetimes, required=True, metadata={"description": "In seconds."})
    rate_limits = fields.List(fields.Nested(RateLimit), required=True, metadata={"description": "Empty when nothing is counted."})
    cookies = fields.Nested(CookieNamesSchema, required=True, metadata={"description": "For deliveries with cookies."})


class ProblemType(Schema):
    """A kind of problem."""

    type = fields.String(
        required=True, metadata={"description": "The `type` of such a problem.", "example": "/problems/not-found"}
    )
    slug = fields.String(required=True, metadata={"description": "Its name; never changes.", "example": "not-found"})
    title = fields.String(required=True, metadata={"description": "In a few words.", "example": "Not found"})
    status = fields.Integer(required=True, metadata={"description": "The HTTP status.", "example": 404})
    explanation = fields.String(
        required=True, metadata={"description": "What happened.", "example": "There is nothing at this address."}
    )
    remedy = fields.String(required=True, metadata={"description": "What to do.", "example": "Check the path and the id."})


class ProblemTypes(Schema):
    """Every kind of problem this service can answer."""

    items = fields.List(fields.Nested(ProblemType), required=True, metadata={"description": "Sorted by slug."})
