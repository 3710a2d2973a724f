from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define

T = TypeVar("T", bound="CookieNames")


@_attrs_define
class CookieNames:
    """
    Attributes:
        access (str): The cookie of the access token.
        refresh (str): The cookie of the refresh token.
        csrf (str): The cookie of the CSRF value.
        csrf_header (str): The header to send the CSRF value in.
    """

    access: str
    refresh: str
    csrf: str
    csrf_header: str

    def to_dict(self) -> dict[str, Any]:
        access = self.access

        refresh = self.refresh

        csrf = self.csrf

        csrf_header = self.csrf_header

        field_dict: dict[str, Any] = {}

        field_dict.update(
            {
                "access": access,
                "refresh": refresh,
                "csrf": csrf,
                "csrf_header": csrf_header,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        access = d.pop("access")

        refresh = d.pop("refresh")

        csrf = d.pop("csrf")

        csrf_header = d.pop("csrf_header")

        cookie_names = cls(
            access=access,
            refresh=refresh,
            csrf=csrf,
            csrf_header=csrf_header,
        )

        return cookie_names
