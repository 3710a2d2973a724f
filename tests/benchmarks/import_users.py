"""`keycard users import` of many rows: rows a second, and peak memory beside that of a few rows.

python -m tests.benchmarks.import_users [ROWS]

On SQLite, and on PostgreSQL where KEYCARD_TEST_DATABASE_URL (or the default of the tests) answers; on databases of its own.
"""

import csv
import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path

import bcrypt
import click
import psycopg
from sqlalchemy.engine import make_url
from werkzeug.security import generate_password_hash

from tests.conftest import POSTGRESQL
from tests.processes.servers import KEYCARD, keycard

FEW, MANY = 1_000, 100_000


def write_rows(file: Path, rows: int) -> Path:
    """A file of users with hashes of three kinds, made before anything is measured."""
    hashes = [bcrypt.hashpw(b"a password", bcrypt.gensalt(4)).decode() for _ in range(20)]
    for method in ("scrypt:1024:8:1", "pbkdf2:sha256:1000"):
        hashes += [generate_password_hash("a password", method) for _ in range(20)]
    with file.open("w", newline="", encoding="utf-8") as opened:
        writer = csv.writer(opened)
        writer.writerow(["username", "email", "email_verified", "display_name", "roles", "created_at", "password_hash"])
        for number, encoded in zip(range(rows), cycle(hashes), strict=False):
            name = f"{file.stem}-{number}"
            when = f"2020-01-01T00:00:00.{number:06}Z"
            writer.writerow([name, f"{name}@example.com", "true", f"Person {number}", "user editor", when, encoded])
    return file


@contextmanager
def postgresql() -> Iterator[str]:
    """The URL of an empty database, which is dropped in the end."""
    name = f"keycard_benchmark_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(POSTGRESQL, autocommit=True, connect_timeout=3) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        try:
            yield make_url(POSTGRESQL).set(database=name).render_as_string(hide_password=False)
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def run(environment: dict[str, str], file: Path) -> str:
    """Run the command; return what it says, and what the process took from start to end."""
    started = time.perf_counter()
    process = subprocess.Popen([KEYCARD, "users", "import", file], env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    said = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stdout.close()
    if process.returncode:
        sys.exit(f"the import failed: {said}")
    seconds, cpu = time.perf_counter() - started, used.ru_utime + used.ru_stime
    return f"{said.strip()} Process: {seconds:.1f} seconds, {cpu:.1f} of CPU, peak memory {used.ru_maxrss / 1024:.0f} MB."


def measure(store: str, database_url: str, folder: Path, rows: int) -> None:
    """A few rows, then many, then the same again, which are all there by then."""
    # Argon2 as it is by default: what the process needs without any row counts too.
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "KEYCARD_INSTANCE_PATH": str(folder)}
    environment["KEYCARD_DATABASE_URL"] = database_url
    keycard(environment, "db", "upgrade")
    few, many = write_rows(folder / "few.csv", FEW), write_rows(folder / "many.csv", rows)
    for file in (few, many, many):
        click.echo(f"{store}: {run(environment, file)}")


def main(rows: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        measure("sqlite", f"sqlite:///{folder}/keycard.sqlite3", Path(folder), rows)
    try:
        with tempfile.TemporaryDirectory() as folder, postgresql() as url:
            measure("postgresql", url, Path(folder), rows)
    except psycopg.OperationalError as error:
        sys.exit(f"PostgreSQL does not answer: {type(error).__name__}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else MANY)
