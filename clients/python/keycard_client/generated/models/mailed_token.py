from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define

T = TypeVar("T", bound="MailedToken")


@_attrs_define
class MailedToken:
    """
    Attributes:
        purpose (str): `verify_email`, `change_email`, `reset_password` or `undo_email`; later versions may add more.
        username (str): The username of the account.
        email (str): The address to which the token was mailed.
        expires_at (datetime.datetime): When the token expires.
    """

    purpose: str
    username: str
    email: str
    expires_at: datetime.datetime

    def to_dict(self) -> dict[str, Any]:
        purpose = self.purpose

        username = self.username

        email = self.email

        expires_at = self.expires_at.isoformat()

        field_dict: dict[str, Any] = {}

        field_dict.update(
            {
                "purpose": purpose,
                "username": username,
                "email": email,
                "expires_at": expires_at,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        purpose = d.pop("purpose")

        username = d.pop("username")

        email = d.pop("email")

        expires_at = datetime.datetime.fromisoformat(d.pop("expires_at"))

        mailed_token = cls(
            purpose=purpose,
            username=username,
            email=email,
            expires_at=expires_at,
        )

        return mailed_token
