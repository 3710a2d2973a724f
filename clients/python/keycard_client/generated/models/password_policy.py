from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define

T = TypeVar("T", bound="PasswordPolicy")


@_attrs_define
class PasswordPolicy:
    """
    Attributes:
        name (str): The name of the policy.
        min_length (int): The least number of characters.
        max_length (int): The greatest number of characters.
        pattern (str): A regular expression that the password must match somewhere; empty for none.
        description (str): The policy in words.
    """

    name: str
    min_length: int
    max_length: int
    pattern: str
    description: str

    def to_dict(self) -> dict[str, Any]:
        name = self.name

        min_length = self.min_length

        max_length = self.max_length

        pattern = self.pattern

        description = self.description

        field_dict: dict[str, Any] = {}

        field_dict.update(
            {
                "name": name,
                "min_length": min_length,
                "max_length": max_length,
                "pattern": pattern,
                "description": description,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        name = d.pop("name")

        min_length = d.pop("min_length")

        max_length = d.pop("max_length")

        pattern = d.pop("pattern")

        description = d.pop("description")

        password_policy = cls(
            name=name,
            min_length=min_length,
            max_length=max_length,
            pattern=pattern,
            description=description,
        )

        return password_policy
