"""Answers that every operation can give for reasons of its surroundings, provoked for each of them."""

import pytest
from flask import Flask

from api.database import db
from tests.actors import Bearer
from tests.contract.operations import Operation
from tests.contract.test_security_matrix import ALL

UNAVAILABLE = [each for each in ALL if "503" in each.declared["responses"]]


@pytest.fixture(scope="module")
def broken(new_app) -> Flask:
    """An app of our own, whose tables can be taken away."""
    return new_app()


@pytest.mark.parametrize("operation", UNAVAILABLE, ids=str)
def test_without_its_tables_it_is_unavailable(broken: Flask, operation: Operation) -> None:
    """A database that cannot answer is a 503 that says when to come back, and never a 500."""
    actor = Bearer(broken).join(roles=operation.roles or None)
    with _without_tables(broken):
        broken.extensions["keycard.keyring"].forget()
        token = operation.token_of(actor) if operation.schemes else None
        answer = operation.call(actor, token=token)
    assert answer.status_code == 503, answer.text
    assert int(answer.headers["Retry-After"]) > 0


class _without_tables:  # noqa: N801 - it reads as a statement
    """Rename every table while it lasts."""

    def __init__(self, app: Flask) -> None:
        self._app = app

    def _rename(self, old: str, new: str) -> None:
        with self._app.app_context(), db.engine.begin() as connection:
            for name in (*db.metadata.tables, "alembic_version"):
                connection.exec_driver_sql(f"ALTER TABLE {old.format(name)} RENAME TO {new.format(name)}")

    def __enter__(self) -> None:
        self._rename("{}", "gone_{}")

    def __exit__(self, *_: object) -> None:
        self._rename("gone_{}", "{}")
