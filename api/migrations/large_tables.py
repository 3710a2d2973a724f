"""Building indexes on tables that may be large, while others write. docs/decisions/0024 says what follows from it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from alembic import op


@contextmanager
def beside_the_others() -> Iterator[None]:
    """Leave the transaction of the migration on PostgreSQL, which builds indexes concurrently only outside of one."""
    if op.get_bind().dialect.name == "postgresql":
        with op.get_context().autocommit_block():
            yield
    else:
        yield


def create_index(name: str, table: str, columns: list[str], where: sa.TextClause | None = None, **options: Any) -> None:
    """Build an index. An interrupted attempt leaves an invalid one of this name, which is dropped first."""
    drop_index(name, table)
    options = {"postgresql_where": where, "sqlite_where": where, **options}
    op.create_index(name, table, columns, postgresql_concurrently=True, **options)


def drop_index(name: str, table: str) -> None:
    """Drop an index, if it is there."""
    op.drop_index(name, table, if_exists=True, postgresql_concurrently=True)
