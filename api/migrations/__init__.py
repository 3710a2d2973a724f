"""The migrations, and what Flask-Migrate needs to find them."""

import re
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from ..database import db

if TYPE_CHECKING:
    from flask_migrate import Migrate

FOLDER = Path(__file__).parent
# `0007_from_0005` are the tables of step 7, on which the code of step 5 and later runs.
NAME = re.compile(r"(?P<step>\d{4})(?:_from_(?P<oldest>\d{4}))?")


class Migrations:
    """What Flask-Migrate looks for among an app's extensions. Alembic comes when something is migrated: no worker needs it."""

    def __init__(self) -> None:
        self.db = db
        self.metadata = db.metadata
        self.directory = str(FOLDER)
        self.configure_args = {"render_as_batch": True, "compare_type": True}

    @cached_property
    def migrate(self) -> "Migrate":
        from flask_migrate import Migrate

        return Migrate(db=db, directory=self.directory)


def newest() -> str:
    """The name of the newest migration."""
    return max(found[0] for file in (FOLDER / "versions").glob("*.py") if (found := NAME.match(file.name)))
