"""Migrations of a version that does not exist yet."""

import os
from pathlib import Path
from typing import Any

import alembic.command
from alembic.script import ScriptDirectory
from flask import Flask

from api.migrations import FOLDER

FILE = """
import sqlalchemy as sa
from alembic import op

revision, down_revision, branch_labels, depends_on = {name!r}, {before!r}, None, None
phase = {phase!r}


def upgrade():
    {upgrade}


def downgrade():
    {downgrade}
"""
EXPAND = """with op.batch_alter_table("users") as users:
        users.add_column(sa.Column("pronouns", sa.String(20), nullable=True))
    with op.batch_alter_table("sessions") as sessions:
        sessions.add_column(sa.Column("origin", sa.String(20), nullable=False, server_default="web"))
        sessions.create_index("ix_sessions_origin", ["origin"])
    op.create_table("passkeys", sa.Column("id", sa.Integer(), primary_key=True),
                    sa.Column("user_id", sa.Uuid(), sa.ForeignKey("users.id", ondelete="CASCADE"), nullable=False))"""
CONTRACT = """with op.batch_alter_table("users", recreate="never") as users:
        users.drop_column("pronouns")"""


class Future:
    """The next steps of the tables, in a folder of their own beside the real ones."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.own = str(ScriptDirectory(str(FOLDER)).get_current_head())
        self.newest = self.own

    def add(self, phase: str, upgrade: str, *, oldest: int | None = None) -> str:
        """Write the next migration, on whose tables code as old as `oldest` steps after ours runs; return its name."""
        step = int(self.newest[:4]) + 1
        name = f"{step:04}_from_{int(self.own[:4]) + (oldest or 0):04}"
        text = FILE.format(name=name, before=self.newest, phase=phase, upgrade=upgrade, downgrade="raise NotImplementedError")
        (self.folder / f"{name}_to_come.py").write_text(text)
        self.newest = name
        return name

    def upgrade(self, app: Flask, revision: str = "head") -> None:
        """Do what `keycard db upgrade` of that version would do."""
        with app.app_context():
            config: Any = app.extensions["migrate"].migrate.get_config()
            config.set_main_option("path_separator", "os")
            config.set_main_option("version_locations", f"{FOLDER / 'versions'}{os.pathsep}{self.folder}")
            alembic.command.upgrade(config, revision)
