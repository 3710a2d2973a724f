"""The base schema and the strict fields: nothing is coerced, and every rule is one that JSON Schema can say.

A pattern here is written in the subset that Python and ECMA-262 read alike, because the document carries it to clients.
"""

import re
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from marshmallow import RAISE, ValidationError, fields, validate
from marshmallow import Schema as MarshmallowSchema

# Free text: anything but the C0 and C1 control characters and DEL. PostgreSQL cannot store NUL, and nobody types the rest.
NO_CONTROL_CHARACTERS = r"^[^\u0000-\u001F\u007F-\u009F]*$"


FIRST = datetime(1, 1, 1, tzinfo=UTC)
LAST = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)


class Schema(MarshmallowSchema):
    """Unknown members are refused, members keep the order in which they are declared."""

    class Meta:
        unknown = RAISE


class Pattern(validate.Regexp):
    """A regular expression as JSON Schema reads it: searched for, and `$` means the very end."""

    def __init__(self, pattern: str, *, error: str) -> None:
        super().__init__(pattern, error=error)
        self._search = re.compile(pattern.removesuffix("$") + r"\Z" if pattern.endswith("$") else pattern).search

    def __call__(self, value: Any) -> Any:
        if not self._search(value):
            raise ValidationError(str(self.error))
        return value


class Text(fields.String):
    """A string of bounded length without control characters, or of the given pattern."""

    def __init__(self, low: int, high: int, *, pattern: str = "", error: str = "", **kwargs: Any) -> None:
        rules = [
            validate.Length(low, high, error=f"Must be {low} to {high} characters long."),
            Pattern(pattern or NO_CONTROL_CHARACTERS, error=error or "Must not contain control characters."),
        ]
        super().__init__(validate=rules, **kwargs)


class UUID(fields.UUID):
    """A UUID in its one canonical form (RFC 9562, section 4): lower case, with hyphens."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> uuid.UUID:
        parsed: uuid.UUID = super()._deserialize(value, attr, data, **kwargs)
        if str(parsed) != value:
            raise self.make_error("invalid_uuid")
        return parsed


class Timestamp(fields.AwareDateTime):
    """A moment. Dumped in UTC with microseconds and offset; loaded as RFC 3339 has it, to UTC.

    A leap second is taken for the second before, and a moment outside the years 1 to 9999 for the nearest inside.
    """

    LONGEST = 64
    _RFC3339 = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d):(\d\d)(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(format="iso", **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> datetime:
        match = self._RFC3339.fullmatch(value) if isinstance(value, str) and len(value) <= self.LONGEST else None
        if match is None:
            raise self.make_error("invalid", input=value, obj_type=self.OBJ_TYPE)
        day, minute, second, fraction, offset = match.groups()
        text = f"{day}T{minute}:{'59' if second == '60' else second}{(fraction or '')[:7]}{offset.upper()}"
        try:
            return datetime.fromisoformat(text).astimezone(UTC)
        except OverflowError:
            return FIRST if day < "5" else LAST
        except ValueError:
            raise self.make_error("invalid", input=value, obj_type=self.OBJ_TYPE) from None


class Flag(fields.Boolean):
    """true or false, and nothing that looks like it."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> bool:
        if not isinstance(value, bool):
            raise self.make_error("invalid")
        return value


class PositiveQueryInt(fields.Integer):
    """A decimal number in a query string: digits only, so that " 5", "5.0" and "+5" are refused."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> int:
        if not isinstance(value, str) or not re.fullmatch(r"[0-9]{1,9}", value):
            raise self.make_error("invalid")
        return int(value)
