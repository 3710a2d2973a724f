from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define

T = TypeVar("T", bound="Ready")


@_attrs_define
class Ready:
    """
    Attributes:
        status (str): Always `ready`.
        database (str): The database answers.
        migrations (str): The schema is this version's.
        redis (str): `off`: not configured. `away`: configured not to be required, and away.
    """

    status: str
    database: str
    migrations: str
    redis: str

    def to_dict(self) -> dict[str, Any]:
        status = self.status

        database = self.database

        migrations = self.migrations

        redis = self.redis

        field_dict: dict[str, Any] = {}

        field_dict.update(
            {
                "status": status,
                "database": database,
                "migrations": migrations,
                "redis": redis,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        status = d.pop("status")

        database = d.pop("database")

        migrations = d.pop("migrations")

        redis = d.pop("redis")

        ready = cls(
            status=status,
            database=database,
            migrations=migrations,
            redis=redis,
        )

        return ready
