"""Accounts on the wire."""

from marshmallow import fields

from .. import opaque
from ..http import Schema, Text
from ..http.schemas import Timestamp
from ..users.schemas import DisplayName, Email, NewPassword, Password, Username


class RegisterRequest(Schema):
    """A new account."""

    username = Username(required=True)
    password = NewPassword(required=True, example="Correct-Horse-7")
    email = Email()
    display_name = DisplayName()


class ProfileChange(Schema):
    """What to change; members that are left out stay as they are."""

    display_name = DisplayName(allow_none=True)


class OneTimeTokenField(Text):
    """A token from a mail."""

    def __init__(self) -> None:
        super().__init__(
            43,
            43,
            pattern=opaque.PATTERN,
            error="Must be a token as the mail has it.",
            required=True,
            load_only=True,
            metadata={"description": "The token from the mail.", "example": "Zm9yZXhhbXBsZW9ubHktbm90LWEtcmVhbC10b2tlbi0"},
        )


class EmailVerification(Schema):
    """The token from the mail; and the password, where a change of address is finished without the session that asked for it."""

    token = OneTimeTokenField()
    password = Password(example="Correct-Horse-7")


class MailedTokenRequest(Schema):
    """A token from a mail."""

    token = OneTimeTokenField()


class MailedTokenSchema(Schema):
    """What a token from a mail is for."""

    purpose = fields.String(
        required=True,
        metadata={
            "description": "`verify_email`, `change_email`, `reset_password` or `undo_email`; later versions may add more.",
            "example": "verify_email",
        },
    )
    username = fields.String(required=True, metadata={"description": "The username of the account.", "example": "ada"})
    email = fields.String(
        required=True, metadata={"description": "The address to which the token was mailed.", "example": "ada@example.com"}
    )
    expires_at = Timestamp(
        required=True, metadata={"description": "When the token expires.", "example": "2026-11-22T09:40:00.123456+00:00"}
    )


class EmailRequest(Schema):
    """An address."""

    email = Email(required=True)


class PasswordReset(Schema):
    """The proof from the mail, and the new password."""

    token = OneTimeTokenField()
    new_password = NewPassword(required=True, example="Battery-Staple-8")


class PasswordChange(Schema):
    """The old password and the new one."""

    current_password = Password(required=True, example="Correct-Horse-7")
    new_password = NewPassword(required=True, example="Battery-Staple-8")
