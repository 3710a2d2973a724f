from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar
from uuid import UUID

from attrs import define as _attrs_define

from ..types import UNSET, Unset

T = TypeVar("T", bound="TokenPair")


@_attrs_define
class TokenPair:
    """
    Attributes:
        token_type (str): How to send the access token: `Authorization: Bearer`.
        expires_in (int): Lifetime of the access token in seconds, from its issue.
        refresh_expires_in (int): Lifetime of the refresh token in seconds, from its issue.
        session_id (UUID): The `id` of the session in the list of sessions.
        delivery (str): How the tokens of this session are delivered.
        access_token (str | Unset): The access token; absent with delivery `cookie`.
        refresh_token (str | Unset): The refresh token; only with delivery `body`.
        csrf_token (str | Unset): The value for the X-CSRF-TOKEN header; absent with delivery `body`.
    """

    token_type: str
    expires_in: int
    refresh_expires_in: int
    session_id: UUID
    delivery: str
    access_token: str | Unset = UNSET
    refresh_token: str | Unset = UNSET
    csrf_token: str | Unset = UNSET

    def to_dict(self) -> dict[str, Any]:
        token_type = self.token_type

        expires_in = self.expires_in

        refresh_expires_in = self.refresh_expires_in

        session_id = str(self.session_id)

        delivery = self.delivery

        access_token = self.access_token

        refresh_token = self.refresh_token

        csrf_token = self.csrf_token

        field_dict: dict[str, Any] = {}

        field_dict.update(
            {
                "token_type": token_type,
                "expires_in": expires_in,
                "refresh_expires_in": refresh_expires_in,
                "session_id": session_id,
                "delivery": delivery,
            }
        )
        if access_token is not UNSET:
            field_dict["access_token"] = access_token
        if refresh_token is not UNSET:
            field_dict["refresh_token"] = refresh_token
        if csrf_token is not UNSET:
            field_dict["csrf_token"] = csrf_token

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        token_type = d.pop("token_type")

        expires_in = d.pop("expires_in")

        refresh_expires_in = d.pop("refresh_expires_in")

        session_id = UUID(d.pop("session_id"))

        delivery = d.pop("delivery")

        access_token = d.pop("access_token", UNSET)

        refresh_token = d.pop("refresh_token", UNSET)

        csrf_token = d.pop("csrf_token", UNSET)

        token_pair = cls(
            token_type=token_type,
            expires_in=expires_in,
            refresh_expires_in=refresh_expires_in,
            session_id=session_id,
            delivery=delivery,
            access_token=access_token,
            refresh_token=refresh_token,
            csrf_token=csrf_token,
        )

        return token_pair
