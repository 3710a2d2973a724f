"""Servers that start together on an empty database migrate it once."""

from collections.abc import Callable
from pathlib import Path

import flask_migrate
import pytest
from flask import Flask
from sqlalchemy import event

from api import create_app
from api.database import db
from tests.conftest import Stores


@pytest.fixture
def empty(new_stores: Callable[[], Stores], tmp_path: Path) -> Flask:
    return create_app(new_stores().settings(tmp_path))


def test_all_migrations_of_sqlite_are_one_transaction(empty: Flask, store_name: str) -> None:
    """Between two of them another server would come in, find the first, and do the second."""
    if store_name != "sqlite":
        pytest.skip("on PostgreSQL a lock is held by the session")
    commits: list[object] = []
    with empty.app_context():
        event.listen(db.engine, "commit", commits.append)
        flask_migrate.upgrade()
        assert len(commits) == 1
        flask_migrate.check()
