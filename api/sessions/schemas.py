"""Sessions and tokens on the wire."""

from marshmallow import fields, validate

from ..http import Schema, Text, page_of
from ..http.schemas import UUID, Timestamp
from ..users.schemas import Password, UserSchema

DELIVERIES = ["body", "hybrid", "cookie"]
SESSION_ID = "3f0b4a52-4f0c-4d8e-9a51-0d0d3f1c2b7a"
ACCESS_TOKEN = "eyJ0eXAiOiJhdCtqd3QifQ.eyJzdWIiOiI3YzFiMmEyZSJ9.c2lnbmF0dXJl"  # noqa: S105 - an example
REFRESH_TOKEN = "eyJ0eXAiOiJydCtqd3QifQ.eyJzdWIiOiI3YzFiMmEyZSJ9.c2lnbmF0dXJl"  # noqa: S105 - an example


class LoginRequest(Schema):
    """Who you are, and how you want the tokens."""

    username = Text(
        1, 254, required=True, metadata={"description": "The username, or a verified e-mail address.", "example": "ada"}
    )
    password = Password(required=True, example="Correct-Horse-7")
    delivery = fields.String(
        load_default="body",
        validate=validate.OneOf(DELIVERIES),
        metadata={
            "description": "`body`: both tokens in the answer. `hybrid`: the refresh token in an HttpOnly cookie. "
            "`cookie`: both in HttpOnly cookies.",
            "example": "body",
        },
    )


class ReauthenticateRequest(Schema):
    """The password, once more."""

    password = Password(required=True, example="Correct-Horse-7")


class TokenPairSchema(Schema):
    """A new pair of tokens. Which members are there depends on the delivery of the session."""

    token_type = fields.String(
        required=True,
        validate=validate.Equal("Bearer"),
        metadata={"description": "How to send the access token: `Authorization: Bearer`.", "example": "Bearer"},
    )
    expires_in = fields.Integer(
        required=True, metadata={"description": "Lifetime of the access token in seconds, from its issue.", "example": 900}
    )
    refresh_expires_in = fields.Integer(
        required=True,
        metadata={"description": "Lifetime of the refresh token in seconds, from its issue.", "example": 604800},
    )
    session_id = UUID(
        required=True, metadata={"description": "The `id` of the session in the list of sessions.", "example": SESSION_ID}
    )
    delivery = fields.String(
        required=True,
        validate=validate.OneOf(DELIVERIES),
        metadata={"description": "How the tokens of this session are delivered.", "example": "body"},
    )
    access_token = fields.String(
        metadata={"description": "The access token; absent with delivery `cookie`.", "example": ACCESS_TOKEN}
    )
    refresh_token = fields.String(
        metadata={"description": "The refresh token; only with delivery `body`.", "example": REFRESH_TOKEN}
    )
    csrf_token = fields.String(metadata={"description": "The value for the X-CSRF-TOKEN header; absent with delivery `body`."})


class SessionSchema(Schema):
    """An open session: one sign-in on one device."""

    id = UUID(required=True, metadata={"description": "The id of the session, the `sid` of its tokens.", "example": SESSION_ID})
    current = fields.Boolean(
        required=True, metadata={"description": "Whether it is the session of this request.", "example": True}
    )
    delivery = fields.String(
        required=True,
        validate=validate.OneOf(DELIVERIES),
        metadata={"description": "How the tokens of the session are delivered.", "example": "body"},
    )
    ip_address = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "The IP address of the last sign-in or refresh.", "example": "192.0.2.7"},
    )
    user_agent = fields.String(
        required=True,
        allow_none=True,
        metadata={
            "description": "The device of the last sign-in or refresh.",
            "example": "Mozilla/5.0 (X11; Linux x86_64)",
        },
    )
    created_at = Timestamp(
        required=True, metadata={"description": "When the session began.", "example": "2026-11-22T09:30:00.123456+00:00"}
    )
    last_used_at = Timestamp(
        required=True,
        metadata={
            "description": "When the session was last refreshed, or else began.",
            "example": "2026-11-22T09:45:00.123456+00:00",
        },
    )
    expires_at = Timestamp(
        required=True,
        metadata={
            "description": "When the session ends at the latest. Refreshing does not extend it.",
            "example": "2026-12-22T09:30:00.123456+00:00",
        },
    )


SessionPageSchema = page_of(SessionSchema, "SessionPage")


class WhoAmI(Schema):
    """Who is calling; user and session only for somebody who is signed in."""

    authenticated = fields.Boolean(
        required=True, metadata={"description": "Whether the request carried a valid access token.", "example": True}
    )
    user = fields.Nested(UserSchema, metadata={"description": "The caller."})
    session = fields.Nested(SessionSchema, metadata={"description": "The session of this request."})
