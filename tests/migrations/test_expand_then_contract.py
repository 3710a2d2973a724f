"""Every migration leaves the version before working, and says what kind of step it is."""

import re
from collections.abc import Callable
from pathlib import Path

import flask_migrate
import pytest
from alembic.script import Script, ScriptDirectory
from sqlalchemy import create_engine, text

from api import create_app
from api.database import db
from api.migrations import FOLDER
from tests.conftest import Stores
from tests.migrations.changes import Table, breaks, tables

STEPS: list[Script] = list(reversed(list(ScriptDirectory(str(FOLDER)).walk_revisions())))
# Those of before names told on what they run. Nothing that old was released.
UNNAMED = {"0001", "0002"}


def oldest(name: str) -> int:
    """The step whose code runs on these tables."""
    found = re.fullmatch(r"(\d{4})(?:_from_(\d{4}))?", name)
    assert found, f"{name}: name it like 0007_from_0006 (keycard db revision --rev-id 0007_from_0006), see docs/decisions/0021"
    return int(found[2] or found[1])


@pytest.mark.parametrize("step", STEPS[1:], ids=lambda each: each.revision)
def test_each_step_says_of_which_kind_it_is(step: Script) -> None:
    """Expand keeps what the step before promised; contract ends it, but never for the version just before."""
    phase, before = getattr(step.module, "phase", None), str(step.down_revision)
    assert phase in {"expand", "contract"}, f'{step.revision}: say phase = "expand" or "contract"'
    if step.revision in UNNAMED:
        return
    assert int(step.revision[:4]) == int(before[:4]) + 1
    if phase == "expand":
        assert oldest(step.revision) == oldest(before), f"{step.revision}: adding ends no support"
    else:
        assert oldest(before) < oldest(step.revision) <= int(before[:4]), (
            f"{step.revision}: first stop using it, then take it away"
        )


def test_the_steps_are_one_after_the_other() -> None:
    assert [each.revision[:4] for each in STEPS] == [f"{number:04}" for number in range(1, len(STEPS) + 1)]


def test_no_step_that_expands_breaks_the_version_before(new_stores: Callable[[], Stores], tmp_path: Path) -> None:
    """Nothing is gone, narrowed, or newly demanded. Read from the database itself, on both kinds."""
    app = create_app(new_stores().settings(tmp_path))
    with app.app_context():
        flask_migrate.upgrade(revision=STEPS[0].revision)
        before = reflected()
        assert "users" in before
        for step in STEPS[1:]:
            flask_migrate.upgrade(revision=step.revision)
            after = reflected()
            assert after != before
            if step.module.phase == "expand":
                assert breaks(before, after) == [], step.revision
            before = after
        for engine in db.engines.values():
            engine.dispose()


def reflected() -> dict[str, Table]:
    with db.engine.connect() as connection:
        return tables(connection)


PEOPLE = "CREATE TABLE people (id INTEGER PRIMARY KEY, name VARCHAR(20) NOT NULL DEFAULT 'x', note VARCHAR(20), age INTEGER)"


@pytest.mark.parametrize(
    "after",
    [
        "DROP TABLE people",
        "ALTER TABLE people DROP COLUMN note",
        "ALTER TABLE people RENAME COLUMN note TO remark",
        PEOPLE.replace("note VARCHAR(20)", "note VARCHAR(10)"),
        PEOPLE.replace("age INTEGER", "age VARCHAR(20)"),
        PEOPLE.replace("note VARCHAR(20)", "note VARCHAR(20) NOT NULL"),
        PEOPLE.replace(" DEFAULT 'x'", ""),
        PEOPLE.replace("age INTEGER", "age INTEGER, town VARCHAR(20) NOT NULL"),
        "CREATE UNIQUE INDEX one_name ON people (name)",
        PEOPLE.replace("age INTEGER", "age INTEGER, CONSTRAINT one_name UNIQUE (name)"),
        PEOPLE.replace("age INTEGER", "age INTEGER, CONSTRAINT grown CHECK (age > 17)"),
        PEOPLE.replace("age INTEGER", "age INTEGER REFERENCES people (id)"),
        "CREATE TABLE pets (id INTEGER PRIMARY KEY, owner INTEGER REFERENCES people (id))",
    ],
    ids=[
        "table", "column", "name", "length", "type", "null", "default", "demanded", "index", "unique", "check", "reference",
        "hold",
    ],
)  # fmt: skip
def test_what_would_break_the_version_before_is_found(after: str) -> None:
    """The opposite: the comparison above can fail, for each reason there is."""
    assert breaks(*compared(after))


@pytest.mark.parametrize(
    "after",
    [
        "CREATE TABLE places (id INTEGER PRIMARY KEY, name VARCHAR(20) NOT NULL UNIQUE)",
        "CREATE TABLE pets (id INTEGER PRIMARY KEY, owner INTEGER, FOREIGN KEY (owner) REFERENCES people (id) ON DELETE CASCADE)",
        "ALTER TABLE people ADD COLUMN town VARCHAR(20)",
        "ALTER TABLE people ADD COLUMN town VARCHAR(20) NOT NULL DEFAULT 'here'",
        "CREATE INDEX by_age ON people (age)",
        PEOPLE.replace("note VARCHAR(20)", "note VARCHAR(40)"),
        PEOPLE.replace("age INTEGER", "age BIGINT"),
        PEOPLE.replace("name VARCHAR(20) NOT NULL", "name VARCHAR(20)"),
    ],
)
def test_what_only_adds_is_no_break(after: str) -> None:
    assert breaks(*compared(after)) == []


def compared(after: str) -> tuple[dict[str, Table], dict[str, Table]]:
    """The tables before and after a change; a table that is created again takes the place of the old one."""
    engine = create_engine("sqlite://")
    with engine.connect() as connection:
        connection.execute(text(PEOPLE))
        before = tables(connection)
        if after.startswith("CREATE TABLE people"):
            connection.execute(text("DROP TABLE people"))
        connection.execute(text(after))
        found = before, tables(connection)
    engine.dispose()
    return found


def test_the_template_declares_a_phase() -> None:
    """What `keycard db revision` writes is asked the same question as the others."""
    assert 'phase = "expand"' in (FOLDER / "script.py.mako").read_text()
