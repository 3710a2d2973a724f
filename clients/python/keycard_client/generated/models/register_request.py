from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define

from ..types import UNSET, Unset

T = TypeVar("T", bound="RegisterRequest")


@_attrs_define
class RegisterRequest:
    """
    Attributes:
        username (str): The username, public and unique; case does not count.
        password (str): 10 to 128 characters with one of A-Z and a digit. Refused: common passwords, and a word, a
            sequence, your username or your e-mail address with a few characters added.
        email (str | Unset): An e-mail address.
        display_name (str | Unset): The name to show instead of the username.
    """

    username: str
    password: str
    email: str | Unset = UNSET
    display_name: str | Unset = UNSET

    def to_dict(self) -> dict[str, Any]:
        username = self.username

        password = self.password

        email = self.email

        display_name = self.display_name

        field_dict: dict[str, Any] = {}

        field_dict.update(
            {
                "username": username,
                "password": password,
            }
        )
        if email is not UNSET:
            field_dict["email"] = email
        if display_name is not UNSET:
            field_dict["display_name"] = display_name

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        username = d.pop("username")

        password = d.pop("password")

        email = d.pop("email", UNSET)

        display_name = d.pop("display_name", UNSET)

        register_request = cls(
            username=username,
            password=password,
            email=email,
            display_name=display_name,
        )

        return register_request
