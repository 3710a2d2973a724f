from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define

from ..types import UNSET, Unset

T = TypeVar("T", bound="LoginRequest")


@_attrs_define
class LoginRequest:
    """
    Attributes:
        username (str): The username, or a verified e-mail address.
        password (str): The password.
        delivery (str | Unset): `body`: both tokens in the answer. `hybrid`: the refresh token in an HttpOnly cookie.
            `cookie`: both in HttpOnly cookies. Default: 'body'.
    """

    username: str
    password: str
    delivery: str | Unset = "body"

    def to_dict(self) -> dict[str, Any]:
        username = self.username

        password = self.password

        delivery = self.delivery

        field_dict: dict[str, Any] = {}

        field_dict.update(
            {
                "username": username,
                "password": password,
            }
        )
        if delivery is not UNSET:
            field_dict["delivery"] = delivery

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        username = d.pop("username")

        password = d.pop("password")

        delivery = d.pop("delivery", UNSET)

        login_request = cls(
            username=username,
            password=password,
            delivery=delivery,
        )

        return login_request
