from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from attrs import define as _attrs_define

from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.suspension_request import SuspensionRequest


T = TypeVar("T", bound="UserChange")


@_attrs_define
class UserChange:
    """
    Attributes:
        display_name (None | str | Unset): The name to show instead of the username.
        email (None | str | Unset): An e-mail address.
        email_verified (bool | Unset): Whether the address counts as verified.
        suspension (None | SuspensionRequest | Unset): Suspends the account and ends every session; null ends a
            suspension.
    """

    display_name: None | str | Unset = UNSET
    email: None | str | Unset = UNSET
    email_verified: bool | Unset = UNSET
    suspension: None | SuspensionRequest | Unset = UNSET

    def to_dict(self) -> dict[str, Any]:
        from ..models.suspension_request import SuspensionRequest  # noqa: PLC0415

        display_name: None | str | Unset
        if isinstance(self.display_name, Unset):
            display_name = UNSET
        else:
            display_name = self.display_name

        email: None | str | Unset
        if isinstance(self.email, Unset):
            email = UNSET
        else:
            email = self.email

        email_verified = self.email_verified

        suspension: dict[str, Any] | None | Unset
        if isinstance(self.suspension, Unset):
            suspension = UNSET
        elif isinstance(self.suspension, SuspensionRequest):
            suspension = self.suspension.to_dict()
        else:
            suspension = self.suspension

        field_dict: dict[str, Any] = {}

        field_dict.update({})
        if display_name is not UNSET:
            field_dict["display_name"] = display_name
        if email is not UNSET:
            field_dict["email"] = email
        if email_verified is not UNSET:
            field_dict["email_verified"] = email_verified
        if suspension is not UNSET:
            field_dict["suspension"] = suspension

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.suspension_request import SuspensionRequest  # noqa: PLC0415

        d = dict(src_dict)

        def _parse_display_name(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        display_name = _parse_display_name(d.pop("display_name", UNSET))

        def _parse_email(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        email = _parse_email(d.pop("email", UNSET))

        email_verified = d.pop("email_verified", UNSET)

        def _parse_suspension(data: object) -> None | SuspensionRequest | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                suspension_type_0 = SuspensionRequest.from_dict(data)

                return suspension_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(None | SuspensionRequest | Unset, data)

        suspension = _parse_suspension(d.pop("suspension", UNSET))

        user_change = cls(
            display_name=display_name,
            email=email,
            email_verified=email_verified,
            suspension=suspension,
        )

        return user_change
