from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define

T = TypeVar("T", bound="RateLimit")


@_attrs_define
class RateLimit:
    """
    Attributes:
        name (str): The name of the limit in the RateLimit-Policy header.
        limit (int): The number of requests.
        window (int): The window in seconds.
        counts (str): Whose requests are counted together.
    """

    name: str
    limit: int
    window: int
    counts: str

    def to_dict(self) -> dict[str, Any]:
        name = self.name

        limit = self.limit

        window = self.window

        counts = self.counts

        field_dict: dict[str, Any] = {}

        field_dict.update(
            {
                "name": name,
                "limit": limit,
                "window": window,
                "counts": counts,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        name = d.pop("name")

        limit = d.pop("limit")

        window = d.pop("window")

        counts = d.pop("counts")

        rate_limit = cls(
            name=name,
            limit=limit,
            window=window,
            counts=counts,
        )

        return rate_limit
