"""Administration on the wire."""

from typing import Any

from marshmallow import fields, validate

from ..http import PageQuery, Schema, Text, page_of
from ..http.schemas import Flag, Timestamp
from ..users.schemas import DisplayName, Email, NewPassword, PasswordHash, RoleName, Username, UserSchema

REASON = "Did not pay."


class SuspensionSchema(Schema):
    """That somebody may not sign in, why, and until when."""

    reason = Text(
        1,
        200,
        required=True,
        allow_none=True,
        metadata={"description": "The reason, for other administrators to read.", "example": REASON},
    )
    until = Timestamp(
        required=True,
        allow_none=True,
        metadata={
            "description": "When the suspension ends; null if it does not end by itself.",
            "example": "2126-12-01T00:00:00+00:00",
        },
    )


class AdminUserSchema(UserSchema):
    """A person, as administrators see them."""

    suspension = fields.Nested(
        SuspensionSchema,
        required=True,
        allow_none=True,
        metadata={"description": "The suspension; null if the account is not suspended.", "schema": {"examples": [None]}},
    )


UserPageSchema = page_of(AdminUserSchema, "UserPage")


class UserQuery(PageQuery):
    """Which users."""

    q = Text(
        1,
        254,
        metadata={"description": "The beginning of the username or of the e-mail address.", "example": "ad"},
    )
    role = RoleName(metadata={"description": "Only users who hold this role.", "example": "admin"})
    status = fields.String(
        validate=validate.OneOf(["active", "suspended"]),
        metadata={"description": "Only users with this status.", "example": "active"},
    )


class Roles(fields.List[str]):
    """All the roles that a user shall hold."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            RoleName(),
            validate=validate.Length(0, 20, error="Must be at most 20 roles."),
            metadata={"description": "All roles of the user. You can give only roles that you hold.", "example": ["user"]},
            **kwargs,
        )


class RolesRequest(Schema):
    """All the roles that the user shall hold."""

    roles = Roles(required=True)


class NewUser(Schema):
    """A user made by an administrator."""

    username = Username(required=True)
    password = NewPassword(example="Correct-Horse-7")
    password_hash = PasswordHash()
    email = Email()
    email_verified = Flag(
        load_default=False,
        metadata={
            "description": "Whether the address counts as verified. If not, a mail asks the user to verify it.",
            "example": False,
        },
    )
    display_name = DisplayName()
    roles = Roles(load_default=["user"])


class SuspensionRequest(Schema):
    """Why and until when somebody may not sign in."""

    reason = Text(
        1, 200, allow_none=True, metadata={"description": "The reason, for other administrators to read.", "example": REASON}
    )
    until = Timestamp(
        allow_none=True,
        metadata={
            "description": "When the suspension ends; null if it does not end by itself.",
            "example": "2126-12-01T00:00:00+00:00",
        },
    )


class UserChange(Schema):
    """What to change; members that are left out stay as they are."""

    display_name = DisplayName(allow_none=True)
    email = Email(allow_none=True)
    email_verified = Flag(metadata={"description": "Whether the address counts as verified."})
    suspension = fields.Nested(
        SuspensionRequest,
        allow_none=True,
        metadata={"description": "Suspends the account and ends every session; null ends a suspension."},
    )
