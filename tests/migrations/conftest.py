"""The code of today, and migrations of a version that does not exist yet."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask

from api.database import db
from tests.migrations.future import Future


@pytest.fixture
def future(tmp_path: Path) -> Future:
    folder = tmp_path / "versions"
    folder.mkdir()
    return Future(folder)


@pytest.fixture
def present(new_app: Callable[..., Flask]) -> Iterator[Flask]:
    """The code of today on stores of its own."""
    app = new_app()
    yield app
    with app.app_context():
        for engine in db.engines.values():
            engine.dispose()
