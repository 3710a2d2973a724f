from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define

from ..types import UNSET, Unset

T = TypeVar("T", bound="Jwk")


@_attrs_define
class Jwk:
    """
    Attributes:
        kty (str): The type of the key.
        use (str): The use of the key: signatures.
        alg (str): The algorithm of the key, the only one to accept with it.
        kid (str): The id of the key: its thumbprint (RFC 7638).
        crv (str | Unset): The curve, with EdDSA.
        x (str | Unset): The public key, with EdDSA.
        n (str | Unset): The modulus, with RS256.
        e (str | Unset): The exponent, with RS256.
    """

    kty: str
    use: str
    alg: str
    kid: str
    crv: str | Unset = UNSET
    x: str | Unset = UNSET
    n: str | Unset = UNSET
    e: str | Unset = UNSET

    def to_dict(self) -> dict[str, Any]:
        kty = self.kty

        use = self.use

        alg = self.alg

        kid = self.kid

        crv = self.crv

        x = self.x

        n = self.n

        e = self.e

        field_dict: dict[str, Any] = {}

        field_dict.update(
            {
                "kty": kty,
                "use": use,
                "alg": alg,
                "kid": kid,
            }
        )
        if crv is not UNSET:
            field_dict["crv"] = crv
        if x is not UNSET:
            field_dict["x"] = x
        if n is not UNSET:
            field_dict["n"] = n
        if e is not UNSET:
            field_dict["e"] = e

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        kty = d.pop("kty")

        use = d.pop("use")

        alg = d.pop("alg")

        kid = d.pop("kid")

        crv = d.pop("crv", UNSET)

        x = d.pop("x", UNSET)

        n = d.pop("n", UNSET)

        e = d.pop("e", UNSET)

        jwk = cls(
            kty=kty,
            use=use,
            alg=alg,
            kid=kid,
            crv=crv,
            x=x,
            n=n,
            e=e,
        )

        return jwk
