"""What PostgreSQL would do for a statement, and whether that stays as it is while the tables grow."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from flask import Flask
from psycopg._queries import PostgresQuery
from psycopg.adapt import Transformer
from sqlalchemy import Connection, event

from api.database import db
from tests.benchmarks.filling import GROWING

# Rows that a read may look at. A page has at most a hundred, and a filter that one in twenty meets makes some hundreds of it.
EXAMINED = 1_500


@dataclass(frozen=True)
class Statement:
    """A statement as the driver got it. by: what was going on."""

    by: str
    text: str
    parameters: Any


@dataclass
class Recorder:
    """Every statement about tables, as long as `recording` lasts."""

    by: str = ""
    statements: list[Statement] = field(default_factory=list)

    def __call__(self, _connection: Any, _cursor: Any, text: str, parameters: Any, _context: Any, _executemany: bool) -> None:
        if re.match(r"\s*(SELECT|INSERT|UPDATE|DELETE|WITH)\b", text) and not re.search(r"\bpg_\w+\(", text):
            self.statements.append(Statement(self.by, text, parameters[0] if isinstance(parameters, list) else parameters))

    def different(self) -> list[Statement]:
        return list({(each.text, repr(each.parameters)): each for each in self.statements}.values())


@contextmanager
def recording(app: Flask) -> Iterator[Recorder]:
    """Record what any engine of the app executes."""
    recorder = Recorder()
    with app.app_context():
        engines = list(db.engines.values())
    for engine in engines:
        event.listen(engine, "before_cursor_execute", recorder)
    try:
        yield recorder
    finally:
        for engine in engines:
            event.remove(engine, "before_cursor_execute", recorder)


def faults(connection: Connection, statement: Statement) -> list[str]:
    """Why a statement, with these parameters, would cost more in larger tables."""
    reads = statement.text.lstrip().startswith("SELECT")
    analyze = "ANALYZE, TIMING OFF, " if reads and "FOR UPDATE" not in statement.text else ""
    explained = connection.exec_driver_sql(f"EXPLAIN ({analyze}FORMAT JSON) {statement.text}", statement.parameters).scalar_one()
    return _judged(explained[0]["Plan"], _partial(connection))


def faults_in_general(connection: Connection, statement: Statement) -> list[str]:
    """The same of the plan that is made without the parameters, which PostgreSQL may keep for a statement that comes often."""
    driver: Any = connection.connection.dbapi_connection
    query = PostgresQuery(Transformer(driver))
    query.convert(statement.text, statement.parameters)
    driver.pgconn.prepare(b"in_general", query.query, query.types)
    given = f"({', '.join(['NULL'] * len(query.types))})" if query.types else ""
    connection.exec_driver_sql("SET plan_cache_mode = force_generic_plan")
    explained = connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) EXECUTE in_general{given}").scalar_one()
    connection.exec_driver_sql("RESET plan_cache_mode; DEALLOCATE in_general")
    return _judged(explained[0]["Plan"], _partial(connection))


def _judged(plan: dict[str, Any], partial_indexes: frozenset[str]) -> list[str]:
    """What is wrong with a plan. An index that holds few rows may be read whole, and a page may be read from any."""
    found = [*_scans(plan, partial_indexes, limited=False)]
    examined = sum(_examined(node) for node in _nodes(plan))
    return found + ([f"looks at {examined:.0f} rows"] if examined > EXAMINED else [])


def _scans(node: dict[str, Any], partial_indexes: frozenset[str], *, limited: bool) -> Iterator[str]:
    kind, table = node["Node Type"], node.get("Relation Name", "")
    limited = limited or kind == "Limit"
    if kind == "Seq Scan" and table in GROWING:
        yield f"Seq Scan on {table}"
    if "Index Name" in node and "Index Cond" not in node and not limited and node["Index Name"] not in partial_indexes:
        yield f"all of {node['Index Name']}"
    for inner in node.get("Plans", ()):
        # A sort reads everything before its limit is reached.
        yield from _scans(inner, partial_indexes, limited=limited and kind not in {"Sort", "Aggregate", "Hash"})


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for inner in node.get("Plans", ()):
        yield from _nodes(inner)


def _examined(node: dict[str, Any]) -> float:
    """Rows that a scan has looked at; none where nothing was executed."""
    if "Actual Rows" not in node or "Relation Name" not in node:
        return 0
    removed = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
    return float(node["Actual Loops"] * (node["Actual Rows"] + removed))


def _partial(connection: Connection) -> frozenset[str]:
    found = connection.exec_driver_sql("SELECT indexrelid::regclass::text FROM pg_index WHERE indpred IS NOT NULL")
    return frozenset(found.scalars())
