"""Importing users with the hashes of their old passwords: each wholly or not at all, and as often as one likes."""

import sqlite3
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from itertools import islice
from typing import Any

from sqlalchemy import case, insert, select, text, union_all
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from .. import clock
from ..access import UserRole
from ..audit import AuditEvent
from ..database import fetch_all, one_at_a_time, transaction
from ..users import User
from ..users.store import buried_key
from .import_file import Rejected, Row

BATCH = 500
ATTEMPTS = 5


@dataclass
class Outcome:
    """What became of some rows. present: those that an earlier run, or an earlier line, has imported."""

    imported: list[Row] = field(default_factory=list)
    present: int = 0
    rejected: list[Rejected] = field(default_factory=list)


@dataclass
class Known:
    """Whom some rows would meet: accounts by id with the key of their name, keys of names, keys of proven addresses."""

    ids: dict[uuid.UUID, str] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)
    proven: set[str] = field(default_factory=set)

    def add(self, id_: uuid.UUID, username_key: str, proven_key: str | None) -> None:
        self.ids[id_] = username_key
        self.names.add(username_key)
        if proven_key:
            self.proven.add(proven_key)


def import_users(rows: Iterable[Row | Rejected]) -> Iterator[Outcome]:
    """Import rows in batches, each batch in one transaction; yield what became of a batch once that is certain.

    Run again, after an end of any kind, it goes on: a row is known by its id, however its account has changed since. No account
    is ever changed: a row whose id, name or proven address is somebody else's is rejected.
    """
    return _in_batches(rows, _import)


def check_users(rows: Iterable[Row | Rejected]) -> Iterator[Outcome]:
    """Say what `import_users` would do, and write nothing."""
    # A temporary file, so that memory does not grow with the number of rows.
    with closing(sqlite3.connect("")) as accepted:
        accepted.execute("CREATE TABLE users (id TEXT PRIMARY KEY, username_key TEXT UNIQUE, proven_key TEXT UNIQUE)")
        yield from _in_batches(rows, lambda batch: _check(batch, accepted))


def _in_batches(rows: Iterable[Row | Rejected], judge: Callable[[list[Row]], Outcome]) -> Iterator[Outcome]:
    rest = iter(rows)
    while batch := list(islice(rest, BATCH)):
        outcome = judge([row for row in batch if isinstance(row, Row)])
        outcome.rejected += [row for row in batch if isinstance(row, Rejected)]
        outcome.rejected.sort(key=lambda each: each.line)
        yield outcome


def _import(rows: list[Row], attempts: int = ATTEMPTS) -> Outcome:
    try:
        with transaction() as database:
            one_at_a_time("import")
            outcome = _sort(rows, _known(rows, partial(_look, database)))
            _insert(database, outcome.imported)
            return outcome
    except IntegrityError:
        if attempts == 1:
            raise
        return _import(rows, attempts - 1)  # somebody has registered one of the names since we looked


def _look(database: Session, statement: Any) -> Iterable[Any]:
    """Run a query whose best plan changes while the table grows: PostgreSQL must not keep the one it made for an empty table."""
    if database.get_bind().dialect.name != "postgresql":
        return database.execute(statement)
    database.execute(text("SET LOCAL plan_cache_mode = force_custom_plan"))
    found = database.execute(statement).all()
    database.execute(text("SET LOCAL plan_cache_mode = auto"))
    return found


def _check(rows: list[Row], accepted: sqlite3.Connection) -> Outcome:
    known = _known(rows, fetch_all)
    for row in rows:
        met = "SELECT id, username_key, proven_key FROM users WHERE id = ? OR username_key = ? OR proven_key = ?"
        for id_, username_key, proven_key in accepted.execute(met, _keys(row)):
            known.add(uuid.UUID(id_), username_key, proven_key)
    outcome = _sort(rows, known)
    accepted.executemany("INSERT INTO users VALUES (?, ?, ?)", map(_keys, outcome.imported))
    return outcome


def _keys(row: Row) -> tuple[str, str, str | None]:
    return str(row.id), row.username_key, row.proven_key


def _known(rows: list[Row], execute: Callable[[Any], Iterable[Any]]) -> Known:
    names = [row.username_key for row in rows]
    proven = [row.proven_key for row in rows if row.proven_key]
    found = select(User.id, User.username_key, case((User.email_verified_at.is_not(None), User.email_key)).label("proven_key"))
    # Each by its own index; with OR between them, PostgreSQL reads the whole table.
    by_id = found.where(User.id.in_([row.id for row in rows]))
    by_name = found.where(User.username_key.in_(names + [buried_key(name) for name in names]))
    by_address = found.where(User.email_key.in_(proven), User.email_verified_at.is_not(None))
    known = Known()
    for met in execute(union_all(by_id, by_name, by_address)):
        known.add(met.id, met.username_key, met.proven_key)
    return known


def _sort(rows: list[Row], known: Known) -> Outcome:
    """Decide about each row, in the order of the file: of two that want the same, the first has it."""
    outcome = Outcome()
    for row in rows:
        if known.ids.get(row.id) in {row.username_key, buried_key(row.username_key)}:
            outcome.present += 1
        elif reason := _conflict(row, known):
            outcome.rejected.append(Rejected(row.line, row.username, reason))
        else:
            known.add(row.id, row.username_key, row.proven_key)
            outcome.imported.append(row)
    return outcome


def _conflict(row: Row, known: Known) -> str:
    if row.id in known.ids:
        return "id: Taken by another account."
    if row.username_key in known.names or buried_key(row.username_key) in known.names:
        return "username: Taken by another account."
    if row.proven_key in known.proven:
        return "email: Proven by another account."
    return ""


def _insert(database: Session, rows: list[Row]) -> None:
    now = clock.now()
    users = [_user(row, now) for row in rows]
    roles = [{"user_id": row.id, "role": role} for row in rows for role in sorted(row.roles)]
    events = [{"type": "import", "subject_id": row.id, "created_at": now} for row in rows]
    for model, values in ((User, users), (UserRole, roles), (AuditEvent, events)):
        if values:  # no values would mean one row of defaults
            database.execute(insert(model), values)


def _user(row: Row, now: datetime) -> dict[str, Any]:
    return {
        "id": row.id,
        "username": row.username,
        "username_key": row.username_key,
        "email": row.email,
        "email_key": row.email_key,
        "email_verified_at": now if row.email_verified else None,
        "display_name": row.display_name,
        "password_hash": row.password_hash,
        "password_changed_at": now,
        "status": row.status,
        "created_at": row.created_at or now,
        "updated_at": now,
    }
