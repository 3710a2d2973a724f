from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from attrs import define as _attrs_define

if TYPE_CHECKING:
    from ..models.cookie_names import CookieNames
    from ..models.features import Features
    from ..models.password_policy import PasswordPolicy
    from ..models.rate_limit import RateLimit
    from ..models.token_lifetimes import TokenLifetimes


T = TypeVar("T", bound="Config")


@_attrs_define
class Config:
    """
    Attributes:
        version (str): The version of Keycard.
        environment (str): `development` or `production`.
        features (Features):
        deliveries (list[str]): The values of `delivery` at login.
        password_policy (PasswordPolicy):
        token_lifetimes (TokenLifetimes):
        rate_limits (list[RateLimit]): The rate limits; empty if there are none.
        cookies (CookieNames):
    """

    version: str
    environment: str
    features: Features
    deliveries: list[str]
    password_policy: PasswordPolicy
    token_lifetimes: TokenLifetimes
    rate_limits: list[RateLimit]
    cookies: CookieNames

    def to_dict(self) -> dict[str, Any]:
        version = self.version

        environment = self.environment

        features = self.features.to_dict()

        deliveries = self.deliveries

        password_policy = self.password_policy.to_dict()

        token_lifetimes = self.token_lifetimes.to_dict()

        rate_limits = []
        for rate_limits_item_data in self.rate_limits:
            rate_limits_item = rate_limits_item_data.to_dict()
            rate_limits.append(rate_limits_item)

        cookies = self.cookies.to_dict()

        field_dict: dict[str, Any] = {}

        field_dict.update(
            {
                "version": version,
                "environment": environment,
                "features": features,
                "deliveries": deliveries,
                "password_policy": password_policy,
                "token_lifetimes": token_lifetimes,
                "rate_limits": rate_limits,
                "cookies": cookies,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.cookie_names import CookieNames  # noqa: PLC0415
        from ..models.features import Features  # noqa: PLC0415
        from ..models.password_policy import PasswordPolicy  # noqa: PLC0415
        from ..models.rate_limit import RateLimit  # noqa: PLC0415
        from ..models.token_lifetimes import TokenLifetimes  # noqa: PLC0415

        d = dict(src_dict)
        version = d.pop("version")

        environment = d.pop("environment")

        features = Features.from_dict(d.pop("features"))

        deliveries = cast(list[str], d.pop("deliveries"))

        password_policy = PasswordPolicy.from_dict(d.pop("password_policy"))

        token_lifetimes = TokenLifetimes.from_dict(d.pop("token_lifetimes"))

        rate_limits = []
        _rate_limits = d.pop("rate_limits")
        for rate_limits_item_data in _rate_limits:
            rate_limits_item = RateLimit.from_dict(rate_limits_item_data)

            rate_limits.append(rate_limits_item)

        cookies = CookieNames.from_dict(d.pop("cookies"))

        config = cls(
            version=version,
            environment=environment,
            features=features,
            deliveries=deliveries,
            password_policy=password_policy,
            token_lifetimes=token_lifetimes,
            rate_limits=rate_limits,
            cookies=cookies,
        )

        return config
