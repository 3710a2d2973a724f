from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define

T = TypeVar("T", bound="TokenLifetimes")


@_attrs_define
class TokenLifetimes:
    """
    Attributes:
        access_token (int): Of an access token.
        refresh_token (int): Of a refresh token; each refresh returns one with the full lifetime.
        session (int): Of a session; refreshing does not extend it.
        refresh_grace (int): How long a used refresh token can be sent again for the same new pair.
        fresh (int): How long a token counts as fresh after the password was given.
    """

    access_token: int
    refresh_token: int
    session: int
    refresh_grace: int
    fresh: int

    def to_dict(self) -> dict[str, Any]:
        access_token = self.access_token

        refresh_token = self.refresh_token

        session = self.session

        refresh_grace = self.refresh_grace

        fresh = self.fresh

        field_dict: dict[str, Any] = {}

        field_dict.update(
            {
                "access_token": access_token,
                "refresh_token": refresh_token,
                "session": session,
                "refresh_grace": refresh_grace,
                "fresh": fresh,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        access_token = d.pop("access_token")

        refresh_token = d.pop("refresh_token")

        session = d.pop("session")

        refresh_grace = d.pop("refresh_grace")

        fresh = d.pop("fresh")

        token_lifetimes = cls(
            access_token=access_token,
            refresh_token=refresh_token,
            session=session,
            refresh_grace=refresh_grace,
            fresh=fresh,
        )

        return token_lifetimes
