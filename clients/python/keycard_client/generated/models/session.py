from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, TypeVar, cast
from uuid import UUID

from attrs import define as _attrs_define

T = TypeVar("T", bound="Session")


@_attrs_define
class Session:
    """
    Attributes:
        id (UUID): The id of the session, the `sid` of its tokens.
        current (bool): Whether it is the session of this request.
        delivery (str): How the tokens of the session are delivered.
        ip_address (None | str): The IP address of the last sign-in or refresh.
        user_agent (None | str): The device of the last sign-in or refresh.
        created_at (datetime.datetime): When the session began.
        last_used_at (datetime.datetime): When the session was last refreshed, or else began.
        expires_at (datetime.datetime): When the session ends at the latest. Refreshing does not extend it.
    """

    id: UUID
    current: bool
    delivery: str
    ip_address: None | str
    user_agent: None | str
    created_at: datetime.datetime
    last_used_at: datetime.datetime
    expires_at: datetime.datetime

    def to_dict(self) -> dict[str, Any]:
        id = str(self.id)

        current = self.current

        delivery = self.delivery

        ip_address: None | str
        ip_address = self.ip_address

        user_agent: None | str
        user_agent = self.user_agent

        created_at = self.created_at.isoformat()

        last_used_at = self.last_used_at.isoformat()

        expires_at = self.expires_at.isoformat()

        field_dict: dict[str, Any] = {}

        field_dict.update(
            {
                "id": id,
                "current": current,
                "delivery": delivery,
                "ip_address": ip_address,
                "user_agent": user_agent,
                "created_at": created_at,
                "last_used_at": last_used_at,
                "expires_at": expires_at,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        id = UUID(d.pop("id"))

        current = d.pop("current")

        delivery = d.pop("delivery")

        def _parse_ip_address(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        ip_address = _parse_ip_address(d.pop("ip_address"))

        def _parse_user_agent(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        user_agent = _parse_user_agent(d.pop("user_agent"))

        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))

        last_used_at = datetime.datetime.fromisoformat(d.pop("last_used_at"))

        expires_at = datetime.datetime.fromisoformat(d.pop("expires_at"))

        session = cls(
            id=id,
            current=current,
            delivery=delivery,
            ip_address=ip_address,
            user_agent=user_agent,
            created_at=created_at,
            last_used_at=last_used_at,
            expires_at=expires_at,
        )

        return session
