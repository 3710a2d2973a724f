from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, cast

from attrs import define as _attrs_define

T = TypeVar("T", bound="Metadata")


@_attrs_define
class Metadata:
    """
    Attributes:
        issuer (str): The `iss` of every token.
        jwks_uri (str): The URL of the signing keys.
        service_documentation (str): The URL of the documentation.
        response_types_supported (list[str]): Empty, because there is no authorization endpoint.
        grant_types_supported (list[str]): Empty: sign in with the operation `login`.
    """

    issuer: str
    jwks_uri: str
    service_documentation: str
    response_types_supported: list[str]
    grant_types_supported: list[str]

    def to_dict(self) -> dict[str, Any]:
        issuer = self.issuer

        jwks_uri = self.jwks_uri

        service_documentation = self.service_documentation

        response_types_supported = self.response_types_supported

        grant_types_supported = self.grant_types_supported

        field_dict: dict[str, Any] = {}

        field_dict.update(
            {
                "issuer": issuer,
                "jwks_uri": jwks_uri,
                "service_documentation": service_documentation,
                "response_types_supported": response_types_supported,
                "grant_types_supported": grant_types_supported,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        issuer = d.pop("issuer")

        jwks_uri = d.pop("jwks_uri")

        service_documentation = d.pop("service_documentation")

        response_types_supported = cast(list[str], d.pop("response_types_supported"))

        grant_types_supported = cast(list[str], d.pop("grant_types_supported"))

        metadata = cls(
            issuer=issuer,
            jwks_uri=jwks_uri,
            service_documentation=service_documentation,
            response_types_supported=response_types_supported,
            grant_types_supported=grant_types_supported,
        )

        return metadata
