from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define

T = TypeVar("T", bound="Features")


@_attrs_define
class Features:
    """
    Attributes:
        registration (bool): Whether anybody may register.
        documentation (bool): Whether /docs is served.
        rate_limits (bool): Whether rate limits are enforced.
        cross_origin (bool): Whether pages of other origins may call this API (CORS).
    """

    registration: bool
    documentation: bool
    rate_limits: bool
    cross_origin: bool

    def to_dict(self) -> dict[str, Any]:
        registration = self.registration

        documentation = self.documentation

        rate_limits = self.rate_limits

        cross_origin = self.cross_origin

        field_dict: dict[str, Any] = {}

        field_dict.update(
            {
                "registration": registration,
                "documentation": documentation,
                "rate_limits": rate_limits,
                "cross_origin": cross_origin,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        registration = d.pop("registration")

        documentation = d.pop("documentation")

        rate_limits = d.pop("rate_limits")

        cross_origin = d.pop("cross_origin")

        features = cls(
            registration=registration,
            documentation=documentation,
            rate_limits=rate_limits,
            cross_origin=cross_origin,
        )

        return features
