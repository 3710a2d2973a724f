"""Pages by cursor: no COUNT, no OFFSET. A cursor names the last row of the page before (keyset pagination).

Lists are ordered by creation time, newest first, with the id as tie-breaker. A cursor is `<microseconds>-<id>`: opaque to
clients, and of a form in which every string that the schema allows is a position in the list.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, TypeVar
from urllib.parse import urlencode
from uuid import UUID

from flask import request
from marshmallow import ValidationError, fields, validate
from sqlalchemy import ColumnElement, Select, and_, or_

from .schemas import Pattern, PositiveQueryInt, Schema

T = TypeVar("T")
DEFAULT_LIMIT = 20
MAX_LIMIT = 100
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
CURSOR = r"^[0-9]{1,16}-[0-9a-f]{32}$"
EXAMPLE_CURSOR = "4102444800000000-0d9f7b0c5a344c4c8d3a3a1f5a8f1c11"


@dataclass(frozen=True)
class Position:
    """A place in a list: after the row of this time and id."""

    created_at: datetime
    id: UUID

    def __str__(self) -> str:
        return f"{(self.created_at - EPOCH) // timedelta(microseconds=1)}-{self.id.hex}"


class Cursor(fields.String):
    """A cursor, loaded to a Position."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(validate=Pattern(CURSOR, error="Not a cursor of this service."), **kwargs)

    def deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        text = super().deserialize(value, *args, **kwargs)
        if not isinstance(text, str):
            return text
        match = re.fullmatch(r"([0-9]{1,16})-([0-9a-f]{32})", text)
        if match is None:
            raise ValidationError("Not a cursor of this service.")
        return Position(EPOCH + timedelta(microseconds=int(match[1])), UUID(match[2]))


class PageQuery(Schema):
    """The query parameters of every list."""

    limit = PositiveQueryInt(
        load_default=DEFAULT_LIMIT,
        validate=validate.Range(1, MAX_LIMIT, error=f"Must be 1 to {MAX_LIMIT}."),
        metadata={"description": "How many items to return at most.", "example": DEFAULT_LIMIT},
    )
    cursor = Cursor(
        metadata={
            "description": "The `next_cursor` of the previous page.",
            "example": EXAMPLE_CURSOR,
            "schema": {"maxLength": len(EXAMPLE_CURSOR)},  # as the pattern says, for readers that do not count
        },
    )


@dataclass(frozen=True)
class Page(Generic[T]):
    """Some items of a list, and where it goes on."""

    items: Sequence[T]
    next_cursor: str | None


def page_of(item: type[Schema], name: str) -> type[Schema]:
    """Make the schema of a page of the given items."""
    return Schema.from_dict(  # type: ignore[return-value]
        {
            "items": fields.List(fields.Nested(item), required=True, metadata={"description": "The items, newest first."}),
            "next_cursor": fields.String(
                required=True,
                allow_none=True,
                metadata={
                    "description": "The `cursor` of the next page; null on the last page.",
                    "example": EXAMPLE_CURSOR,
                },
            ),
        },
        name=name,
    )


def keyset(statement: Select[Any], created_at: Any, id_: Any, *, limit: int, cursor: Position | None = None) -> Select[Any]:
    """Order a statement newest first, start it behind the cursor, and read one row more than the page holds."""
    if cursor:
        statement = statement.where(_behind(created_at, id_, cursor))
    return statement.order_by(created_at.desc(), id_.desc()).limit(limit + 1)


def _behind(created_at: Any, id_: Any, cursor: Position) -> ColumnElement[bool]:
    # Spelled out, because SQLite compares row values with another affinity than the columns'.
    return and_(created_at <= cursor.created_at, or_(created_at < cursor.created_at, id_ < cursor.id))


def paginate(rows: Sequence[T], limit: int, position: Callable[[T], Position]) -> tuple[Page[T], dict[str, str]]:
    """Cut the extra row off; return the page and the `Link` header (RFC 8288) that leads to the next one."""
    if len(rows) <= limit:
        return Page(rows, None), {}
    items = rows[:limit]
    cursor = str(position(items[-1]))
    query = urlencode({**request.args, "cursor": cursor})
    return Page(items, cursor), {"Link": f'<{request.path}?{query}>; rel="next"'}
