"""keycard users import."""

import json
import os
import sys
import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TextIO

import click
from flask.cli import with_appcontext
from sqlalchemy.exc import StatementError

from .import_file import CSV, JSONL, Rejected, UnusableFileError, read_users
from .importing import check_users, import_users


@click.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--report",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where to list rejected rows, as JSON lines. Not given: FILE.rejected.jsonl.",
)
@click.option("--check", is_flag=True, help="Only say what would happen, and list what would be rejected.")
@with_appcontext
def import_users_command(file: Path, report: Path | None, *, check: bool) -> None:
    """Import users with their password hashes from FILE.

    FILE is a .csv with a header, or a .jsonl with one object a line. Columns: username, password_hash; and, where there are any,
    email, email_verified (true or false), display_name, roles (a list; in CSV separated by spaces or commas; user if left out),
    status (active or suspended), created_at (RFC 3339), id (a UUID).

    Hashes may be argon2, bcrypt, or Werkzeug's scrypt and pbkdf2; the first sign-in replaces them by argon2id.

    Run it again with the same file after it was interrupted: users that are there already are left as they are. Exits with 1 if
    any row was rejected.
    """
    kind = file.suffix.lower()
    if kind not in {CSV, JSONL}:
        raise click.BadParameter(f"Must end in {CSV} or {JSONL}.", param_hint="FILE")
    report = report or file.with_name(f"{file.name}.rejected.jsonl")
    if report.exists() and report.samefile(file):
        raise click.BadParameter("Must be another file than FILE.", param_hint="--report")
    started = time.perf_counter()
    try:
        counts = _run(file, kind, report, check=check)
    except UnusableFileError as error:
        raise click.ClickException(str(error)) from None
    except StatementError as error:
        # Not its text: that shows the values, hashes among them.
        cause = type(error.orig or error).__name__
        raise click.ClickException(
            f"The database failed ({cause}). What was imported stays; run the same command again to go on."
        ) from None
    _summarise(counts, time.perf_counter() - started, report, check=check)
    sys.exit(1 if counts["rejected"] else 0)


def _run(file: Path, kind: str, report: Path, *, check: bool) -> Counter[str]:
    counts: Counter[str] = Counter()
    size = file.stat().st_size
    with file.open("rb") as opened:
        rows = read_users(opened, kind)
        with _open_report(report) as listed, click.progressbar(length=size, label="Users", file=sys.stderr) as bar:
            for outcome in check_users(rows) if check else import_users(rows):
                counts.update(imported=len(outcome.imported), present=outcome.present, rejected=len(outcome.rejected))
                _list(outcome.rejected, listed)
                bar.update(opened.tell() - bar.pos)
    if not counts["rejected"]:
        report.unlink()
    return counts


def _open_report(report: Path) -> TextIO:
    """Names of people stand in it: its owner alone may read it. An earlier report is replaced."""
    try:
        descriptor = os.open(report, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    except OSError as error:
        raise click.FileError(str(report), error.strerror or "") from None
    return os.fdopen(descriptor, "w", encoding="utf-8")


def _list(rejected: list[Rejected], report: TextIO) -> None:
    report.writelines(f"{json.dumps(asdict(each))}\n" for each in rejected)
    report.flush()


def _summarise(counts: Counter[str], seconds: float, report: Path, *, check: bool) -> None:
    verb = "would be imported" if check else "imported"
    rate = counts.total() / seconds
    click.echo(
        f"{counts['imported']} {verb}, {counts['present']} already there, {counts['rejected']} rejected; "
        f"{seconds:.1f} seconds, {rate:.0f} rows/s."
    )
    if counts["rejected"]:
        click.echo(f"Rejected rows and the reasons: {report}", err=True)
