"""Reading users from a file: CSV with a header, or one JSON object a line. One line is one user, read and judged alone."""

import codecs
import contextlib
import csv
import json
import re
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, BinaryIO

from marshmallow import ValidationError, fields, validate, validates_schema

from .. import access, clock
from ..docs.demo import ACCOUNTS as DEMO_ACCOUNTS
from ..http import Schema
from ..http.body import strict_json
from ..http.schemas import UUID, Flag, Timestamp
from ..problems import MalformedRequest
from ..users import ACTIVE, SUSPENDED, name_key
from ..users.schemas import DisplayName, Email, PasswordHash, RoleName, Username

CSV, JSONL = ".csv", ".jsonl"
# Ten times what a user can fill; a longer line is not read into memory.
MAX_LINE_BYTES = 65_536
FIRST_YEAR = 1970
# Names of unknown columns in the message that refuses them.
MOST_NAMED = 10
NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://keycard.invalid/import")


class UnusableFileError(Exception):
    """Nothing of the file can be imported; the message says why."""


@dataclass(frozen=True, slots=True)
class Row:
    """A user, as a line of the file has them."""

    line: int
    id: uuid.UUID
    username: str
    password_hash: str
    email: str | None
    email_verified: bool
    display_name: str | None
    roles: frozenset[str]
    status: str
    created_at: datetime | None

    @property
    def username_key(self) -> str:
        return name_key(self.username)

    @property
    def email_key(self) -> str | None:
        return name_key(self.email) if self.email else None

    @property
    def proven_key(self) -> str | None:
        """The key of an address that nobody else may have proven."""
        return self.email_key if self.email_verified else None


@dataclass(frozen=True, slots=True)
class Rejected:
    """A line that cannot be imported, and why. Never says what stood there, except for a name that could be one."""

    line: int
    username: str | None
    reason: str


def _not_reserved(value: uuid.UUID) -> None:
    # Production deletes the accounts with these ids when it starts.
    if value in {account.id for account in DEMO_ACCOUNTS}:
        raise ValidationError("Reserved for a demo account.")


def _in_the_past(value: datetime) -> None:
    if value.year < FIRST_YEAR or value > clock.now():
        raise ValidationError(f"Must be between {FIRST_YEAR} and now.")


class ImportedUser(Schema):
    """What a line may hold."""

    username = Username(required=True)
    password_hash = PasswordHash(required=True)
    email = Email(load_default=None)
    email_verified = Flag(load_default=False)
    display_name = DisplayName(load_default=None)
    roles = fields.List(
        RoleName(), load_default=[access.USER], validate=validate.Length(0, 20, error="Must be at most 20 roles.")
    )
    created_at = Timestamp(load_default=None, validate=_in_the_past)
    id = UUID(load_default=None, validate=_not_reserved)
    status = fields.String(
        load_default=ACTIVE, validate=validate.OneOf([ACTIVE, SUSPENDED], error=f"Must be {ACTIVE} or {SUSPENDED}.")
    )

    @validates_schema
    def _verified_what(self, data: Mapping[str, Any], **_: Any) -> None:
        if data["email_verified"] and not data["email"]:
            raise ValidationError("There is no address that could be verified.", "email_verified")


_SCHEMA = ImportedUser()
_REQUIRED = tuple(name for name, field in _SCHEMA.fields.items() if field.required)


class _MalformedLineError(Exception):
    """A line that holds no values."""


def read_users(file: BinaryIO, kind: str) -> Iterator[Row | Rejected]:
    """Read a file, line by line; blank ones are no users. kind: CSV or JSONL.

    A cell that is empty, and a member that is null, is left out. Raises UnusableFileError, before the first line is returned, for
    columns that are unknown, missing or there twice, and for members that are unknown wherever they stand.
    """
    lines = enumerate(_lines(file), 1)
    if kind == CSV:
        _, first = next(lines, (0, b""))
        parse: Callable[[bytes], dict[str, Any]] = partial(_from_csv, _header(first))
    else:
        _check_members(file)
        parse = _from_json
    return (_judge(number, line, parse) for number, line in lines if line.strip())


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """The lines; of one that is too long, only a beginning that is too long."""
    file.seek(0)
    start = codecs.BOM_UTF8
    while line := file.readline(MAX_LINE_BYTES + 1):
        yield line.removeprefix(start)
        start = b""
        while len(line) > MAX_LINE_BYTES and not line.endswith(b"\n"):
            line = file.readline(MAX_LINE_BYTES + 1)


def _header(line: bytes) -> list[str]:
    try:
        names = _cells(line)
    except _MalformedLineError as error:
        raise UnusableFileError(f"The first line must name the columns. {error}") from None
    _refuse_unknown(names)
    missing = [name for name in _REQUIRED if name not in names]
    if missing:
        raise UnusableFileError(f"Missing columns: {', '.join(missing)}. The first line must name the columns.")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UnusableFileError(f"Columns there twice: {', '.join(twice)}.")
    return names


def _check_members(file: BinaryIO) -> None:
    """Look through the whole file for members that are unknown. Lines that cannot be read are rejected later, one by one."""
    found: dict[str, None] = {}
    for line in _lines(file):
        with contextlib.suppress(ValueError, RecursionError):
            value = json.loads(line)
            found |= dict.fromkeys(value.keys() - _SCHEMA.fields.keys()) if isinstance(value, dict) else {}
        if len(found) > MOST_NAMED:
            break
    _refuse_unknown(found)


def _refuse_unknown(names: Iterable[str]) -> None:
    unknown = [name for name in names if name not in _SCHEMA.fields]
    if unknown:
        # What cannot be a name is not repeated: without a header, the first line is somebody's data.
        shown = [name if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_ -]{0,39}", name) else "(not a name)" for name in unknown]
        more = ["..."] if len(shown) > MOST_NAMED else []
        raise UnusableFileError(
            f"Unknown columns: {', '.join(shown[:MOST_NAMED] + more)}. Known are: {', '.join(_SCHEMA.fields)}."
        )


def _judge(number: int, line: bytes, parse: Callable[[bytes], dict[str, Any]]) -> Row | Rejected:
    try:
        values = parse(line)
    except _MalformedLineError as error:
        return Rejected(number, None, str(error))
    try:
        loaded = _SCHEMA.load(values)
    except ValidationError as error:
        faults = error.messages_dict
        name = None if "username" in faults else values["username"]
        return Rejected(number, name, " ".join(f"{field}: {_words(found)}" for field, found in faults.items()))
    loaded["id"] = loaded["id"] or _derived_id(loaded["username"], loaded["password_hash"])
    return Row(number, **loaded | {"roles": frozenset(loaded["roles"])})


def _derived_id(username: str, password_hash: str) -> uuid.UUID:
    """The same for the same line, so that a second run knows whom the first has imported, whatever became of the account.

    The salt in the hash keeps others from computing it.
    """
    return uuid.uuid5(NAMESPACE, f"{name_key(username)}\n{password_hash}")


def _words(found: Any) -> str:
    return " ".join(dict.fromkeys(found if isinstance(found, list) else map(_words, found.values())))


def _from_json(line: bytes) -> dict[str, Any]:
    _refuse_long(line)
    try:
        value = strict_json(line)
    except MalformedRequest as problem:
        raise _MalformedLineError(str(problem.description).replace("The body", "The line")) from None
    if not isinstance(value, dict):
        raise _MalformedLineError("The line is not a JSON object.")
    return {name: member for name, member in value.items() if member is not None}


def _from_csv(header: list[str], line: bytes) -> dict[str, Any]:
    cells = _cells(line)
    if len(cells) != len(header):
        raise _MalformedLineError(f"The line has {len(cells)} cells, the header {len(header)}.")
    values: dict[str, Any] = {name: cell for name, cell in zip(header, cells, strict=True) if cell}
    if "roles" in values:
        values["roles"] = re.findall(r"[^\s,]+", values["roles"])
    if "email_verified" in values:
        values["email_verified"] = {"true": True, "false": False}.get(values["email_verified"], "neither")
    return values


def _cells(line: bytes) -> list[str]:
    """No field of a user can hold the end of a line, so a quote that is still open there is a fault, and of this line alone."""
    _refuse_long(line)
    try:
        [cells] = csv.reader([line.decode("utf-8")], strict=True)
    except UnicodeDecodeError:
        raise _MalformedLineError("The line is not valid UTF-8.") from None
    except (csv.Error, ValueError):
        raise _MalformedLineError("The line is not valid CSV.") from None
    return cells


def _refuse_long(line: bytes) -> None:
    if len(line) > MAX_LINE_BYTES:
        raise _MalformedLineError(f"The line is longer than {MAX_LINE_BYTES} bytes.")
