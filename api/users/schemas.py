"""What a person looks like on the wire."""

from typing import Any

from marshmallow import ValidationError, fields, validate

from ..config import settings
from ..http.schemas import UUID, Pattern, Schema, Text, Timestamp
from .foreign_hashes import MAX_LENGTH as MAX_LENGTH_OF_HASH
from .foreign_hashes import PATTERN
from .policy import MAX_LENGTH, policy

USERNAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
# Unquoted addresses as RFC 5321 and 5322 have them, labels as in RFC 1123, section 2.1. That a local part is at most 64 long
# would take a look-ahead, from which no generator can make an example; `format: email` says it, and Email checks it.
ATEXT = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
EMAIL = (
    rf"^{ATEXT}(?:\.{ATEXT})*@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{{0,61}}[A-Za-z0-9])?\.)+"
    r"(?:[A-Za-z]{2,24}|[Xx][Nn]--[A-Za-z0-9-]{1,58}[A-Za-z0-9])$"
)


class Username(Text):
    """A new username."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            3,
            80,
            pattern=USERNAME,
            error="Must be letters, digits, dots, hyphens and underscores, starting with a letter or digit.",
            metadata={"description": "The username, public and unique; case does not count.", "example": "ada"},
            **kwargs,
        )


class Email(Text):
    """An e-mail address."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            6,
            254,
            pattern=EMAIL,
            error="Must be an e-mail address.",
            metadata={"description": "An e-mail address.", "example": "ada@example.com", "schema": {"format": "email"}},
            **kwargs,
        )

    def _validate(self, value: Any) -> None:
        super()._validate(value)
        if len(value.partition("@")[0]) > 64:
            raise ValidationError("Must have at most 64 characters before the @.")


class DisplayName(Text):
    """How a person wants to be called."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            1, 80, metadata={"description": "The name to show instead of the username.", "example": "Ada Lovelace"}, **kwargs
        )


class NewPassword(fields.String):
    """A password that must satisfy the policy in force, with which the document is written too."""

    def __init__(self, *, example: str, **kwargs: Any) -> None:
        super().__init__(
            metadata={"description": "The new password.", "example": example, "schema": _policy_schema},
            load_only=True,
            **kwargs,
        )

    def _validate(self, value: Any) -> None:
        chosen = policy(settings())
        length = f"Must be {chosen.min_length} to {MAX_LENGTH} characters long."
        validate.Length(chosen.min_length, MAX_LENGTH, error=length)(value)
        if chosen.pattern:
            Pattern(chosen.pattern, error="Must contain one of A-Z and a digit.")(value)


def _policy_schema() -> dict[str, Any]:
    chosen = policy(settings())
    rule = {"pattern": chosen.pattern} if chosen.pattern else {}
    described = {"description": chosen.description, "format": "password"}
    return {"minLength": chosen.min_length, "maxLength": MAX_LENGTH, **rule, **described}


class Password(fields.String):
    """A password as proof of who somebody is: any that may ever have been accepted."""

    def __init__(self, *, example: str, **kwargs: Any) -> None:
        super().__init__(
            validate=validate.Length(1, 1024),
            metadata={"description": "The password.", "example": example, "schema": {"format": "password"}},
            load_only=True,
            **kwargs,
        )


class PasswordHash(Text):
    """The hash that another application has made of a password."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            20,
            MAX_LENGTH_OF_HASH,
            pattern=PATTERN,
            error="Must be a hash of argon2, bcrypt, or Werkzeug's scrypt or pbkdf2.",
            load_only=True,
            metadata={
                "description": "The hash as the other application stored it: argon2, bcrypt, Werkzeug's `scrypt:` or `pbkdf2:`.",
                "example": "$2b$12$abcdefghijklmnopqrstuu5s2v8.iXieOjg1.AySBTTZIIVFJeBui",
            },
            **kwargs,
        )


class RoleName(Text):
    """The name of a role."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            1,
            32,
            pattern=r"^[a-z][a-z0-9_-]*$",
            error="Must be lower-case letters, digits, hyphens and underscores, starting with a letter.",
            **kwargs,
        )


class UserSchema(Schema):
    """A person."""

    id = UUID(
        required=True,
        metadata={"description": "The id of the user; it never changes.", "example": "7c1b2a2e-8c1d-4c55-9b0e-5d8f6a7b9c01"},
    )
    username = fields.String(required=True, metadata={"description": "The username; it never changes.", "example": "ada"})
    display_name = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "The name to show instead of the username; null for none.", "example": "Ada Lovelace"},
    )
    email = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "The e-mail address, verified or not; null for none.", "example": "ada@example.com"},
    )
    email_verified = fields.Boolean(required=True, metadata={"description": "Whether the address is verified.", "example": False})
    pending_email = fields.String(
        required=True,
        allow_none=True,
        metadata={
            "description": "The address that replaces `email` once it is verified; null for none.",
            "example": "ada@example.org",
        },
    )
    roles = fields.List(
        RoleName(), required=True, metadata={"description": "The roles of the user, sorted.", "example": ["user"]}
    )
    status = fields.String(
        required=True,
        validate=validate.OneOf(["active", "suspended"]),
        metadata={"description": "Whether the user can sign in.", "example": "active"},
    )
    created_at = Timestamp(
        required=True, metadata={"description": "When the account was made.", "example": "2026-11-22T09:30:00.123456+00:00"}
    )
    updated_at = Timestamp(
        required=True,
        metadata={"description": "When the account last changed.", "example": "2026-11-22T09:30:00.123456+00:00"},
    )
