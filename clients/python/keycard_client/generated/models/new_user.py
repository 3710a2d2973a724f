from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, cast

from attrs import define as _attrs_define

from ..types import UNSET, Unset

T = TypeVar("T", bound="NewUser")


@_attrs_define
class NewUser:
    """
    Attributes:
        username (str): The username, public and unique; case does not count.
        password (str | Unset): 10 to 128 characters with one of A-Z and a digit. Refused: common passwords, and a word,
            a sequence, your username or your e-mail address with a few characters added.
        password_hash (str | Unset): The hash as the other application stored it: argon2, bcrypt, Werkzeug's `scrypt:`
            or `pbkdf2:`.
        email (str | Unset): An e-mail address.
        email_verified (bool | Unset): Whether the address counts as verified. If not, a mail asks the user to verify
            it. Default: False.
        display_name (str | Unset): The name to show instead of the username.
        roles (list[str] | Unset): All roles of the user. You can give only roles that you hold.
    """

    username: str
    password: str | Unset = UNSET
    password_hash: str | Unset = UNSET
    email: str | Unset = UNSET
    email_verified: bool | Unset = False
    display_name: str | Unset = UNSET
    roles: list[str] | Unset = UNSET

    def to_dict(self) -> dict[str, Any]:
        username = self.username

        password = self.password

        password_hash = self.password_hash

        email = self.email

        email_verified = self.email_verified

        display_name = self.display_name

        roles: list[str] | Unset = UNSET
        if not isinstance(self.roles, Unset):
            roles = self.roles

        field_dict: dict[str, Any] = {}

        field_dict.update(
            {
                "username": username,
            }
        )
        if password is not UNSET:
            field_dict["password"] = password
        if password_hash is not UNSET:
            field_dict["password_hash"] = password_hash
        if email is not UNSET:
            field_dict["email"] = email
        if email_verified is not UNSET:
            field_dict["email_verified"] = email_verified
        if display_name is not UNSET:
            field_dict["display_name"] = display_name
        if roles is not UNSET:
            field_dict["roles"] = roles

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        username = d.pop("username")

        password = d.pop("password", UNSET)

        password_hash = d.pop("password_hash", UNSET)

        email = d.pop("email", UNSET)

        email_verified = d.pop("email_verified", UNSET)

        display_name = d.pop("display_name", UNSET)

        roles = cast(list[str], d.pop("roles", UNSET))

        new_user = cls(
            username=username,
            password=password,
            password_hash=password_hash,
            email=email,
            email_verified=email_verified,
            display_name=display_name,
            roles=roles,
        )

        return new_user
