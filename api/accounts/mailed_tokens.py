"""What a token from a mail is for, for the page that its link opens."""

from dataclasses import dataclass
from datetime import datetime

from .. import users
from . import one_time_tokens
from .errors import OneTimeTokenRefused
from .models import CHANGE_EMAIL, RESET_PASSWORD, UNDO_EMAIL, VERIFY_EMAIL


@dataclass(frozen=True)
class MailedToken:
    """A token that can be used."""

    purpose: str
    username: str
    email: str
    expires_at: datetime


def describe(token: str) -> MailedToken:
    """Say what a token is for, without using it. Raises OneTimeTokenRefused, TooManyRequests."""
    found = one_time_tokens.look_at(token, VERIFY_EMAIL, CHANGE_EMAIL, RESET_PASSWORD, UNDO_EMAIL)
    owner = users.credentials_of(found.user_id)
    if owner is None:
        raise OneTimeTokenRefused
    return MailedToken(found.purpose, owner.username, found.email, found.expires_at)
