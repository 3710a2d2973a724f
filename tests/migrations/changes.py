"""What a migration changes, seen from the code of the version before, which goes on running on the new tables."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, Connection, Integer, String, inspect
from sqlalchemy.types import TypeEngine


@dataclass(frozen=True)
class Table:
    """What a database says about a table: its columns by name, its rules as texts, and whose rows it keeps from being deleted."""

    columns: dict[str, Any]
    rules: frozenset[str]
    holds_back: frozenset[str]


def tables(connection: Connection) -> dict[str, Table]:
    """Every table that there is, but Alembic's own."""
    found = inspect(connection)
    names = set(found.get_table_names()) - {"alembic_version"}
    return {
        name: Table(
            {each["name"]: each for each in found.get_columns(name)},
            frozenset(
                [f"primary key {found.get_pk_constraint(name)['constrained_columns']}"]
                + [f"unique {each['column_names']}" for each in found.get_unique_constraints(name)]
                + [f"unique {each['column_names']}" for each in found.get_indexes(name) if each["unique"]]
                + [f"check {each['sqltext']}" for each in found.get_check_constraints(name)]
                + [f"foreign key {each['constrained_columns']}" for each in found.get_foreign_keys(name)]
            ),
            frozenset(
                each["referred_table"]
                for each in found.get_foreign_keys(name)
                if each["options"].get("ondelete", "").upper() not in {"CASCADE", "SET NULL"}
            ),
        )
        for name in names
    }


def breaks(before: dict[str, Table], after: dict[str, Table]) -> list[str]:
    """Name everything by which a statement of the version before would fail that succeeded before."""
    found = [f"{name}: gone" for name in sorted(before.keys() - after.keys())]
    for name in sorted(after.keys() - before.keys()):
        found += [f"{name}: new, and keeps rows of {each} from being deleted" for each in after[name].holds_back & before.keys()]
    for name in sorted(before.keys() & after.keys()):
        old, new = before[name], after[name]
        found += [f"{name}.{column}: gone" for column in sorted(old.columns.keys() - new.columns.keys())]
        found += [f"{name}.{column}: {fault}" for column in old.columns.keys() & new.columns.keys()
                  for fault in _tightened(old.columns[column], new.columns[column])]  # fmt: skip
        found += [f"{name}.{column}: new, and must be given" for column in sorted(new.columns.keys() - old.columns.keys())
                  if _must_be_given(new.columns[column])]  # fmt: skip
        found += [f"{name}: new rule, {rule}" for rule in sorted(new.rules - old.rules)]
    return found


def _tightened(old: Any, new: Any) -> list[str]:
    faults = [] if _holds(new["type"], old["type"]) else [f"{old['type']} became {new['type']}"]
    if old["nullable"] and not new["nullable"]:
        faults.append("must not be NULL now")
    if _must_be_given(new) and not _must_be_given(old):
        faults.append("lost its default")
    return faults if not (old["nullable"] and not new["nullable"]) else [each for each in faults if each != "lost its default"]


def _must_be_given(column: Any) -> bool:
    return not column["nullable"] and column["default"] is None


def _holds(new: TypeEngine[Any], old: TypeEngine[Any]) -> bool:
    """Whether every value of the old type is one of the new type."""
    if isinstance(new, BigInteger) and isinstance(old, Integer):
        return True
    if isinstance(new, String) and isinstance(old, String):
        return new.length is None or (old.length is not None and old.length <= new.length)
    return repr(new) == repr(old)
