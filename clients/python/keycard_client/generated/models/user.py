from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, TypeVar, cast
from uuid import UUID

from attrs import define as _attrs_define

T = TypeVar("T", bound="User")


@_attrs_define
class User:
    """
    Attributes:
        id (UUID): The id of the user; it never changes.
        username (str): The username; it never changes.
        display_name (None | str): The name to show instead of the username; null for none.
        email (None | str): The e-mail address, verified or not; null for none.
        email_verified (bool): Whether the address is verified.
        pending_email (None | str): The address that replaces `email` once it is verified; null for none.
        roles (list[str]): The roles of the user, sorted.
        status (str): Whether the user can sign in.
        created_at (datetime.datetime): When the account was made.
        updated_at (datetime.datetime): When the account last changed.
    """

    id: UUID
    username: str
    display_name: None | str
    email: None | str
    email_verified: bool
    pending_email: None | str
    roles: list[str]
    status: str
    created_at: datetime.datetime
    updated_at: datetime.datetime

    def to_dict(self) -> dict[str, Any]:
        id = str(self.id)

        username = self.username

        display_name: None | str
        display_name = self.display_name

        email: None | str
        email = self.email

        email_verified = self.email_verified

        pending_email: None | str
        pending_email = self.pending_email

        roles = self.roles

        status = self.status

        created_at = self.created_at.isoformat()

        updated_at = self.updated_at.isoformat()

        field_dict: dict[str, Any] = {}

        field_dict.update(
            {
                "id": id,
                "username": username,
                "display_name": display_name,
                "email": email,
                "email_verified": email_verified,
                "pending_email": pending_email,
                "roles": roles,
                "status": status,
                "created_at": created_at,
                "updated_at": updated_at,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        id = UUID(d.pop("id"))

        username = d.pop("username")

        def _parse_display_name(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        display_name = _parse_display_name(d.pop("display_name"))

        def _parse_email(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        email = _parse_email(d.pop("email"))

        email_verified = d.pop("email_verified")

        def _parse_pending_email(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        pending_email = _parse_pending_email(d.pop("pending_email"))

        roles = cast(list[str], d.pop("roles"))

        status = d.pop("status")

        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))

        updated_at = datetime.datetime.fromisoformat(d.pop("updated_at"))

        user = cls(
            id=id,
            username=username,
            display_name=display_name,
            email=email,
            email_verified=email_verified,
            pending_email=pending_email,
            roles=roles,
            status=status,
            created_at=created_at,
            updated_at=updated_at,
        )

        return user
