"""`keycard`: Flask's command line with the app bound."""

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import click
from flask import Flask, current_app
from flask.cli import AppGroup, FlaskGroup, with_appcontext
from flask_migrate.cli import db as db_cli

from . import access, admin, keys, openapi, outbox, sessions
from .accounts import register
from .accounts.cli import import_users_command
from .accounts.one_time_tokens import purge_tokens
from .accounts.schemas import RegisterRequest
from .admin.schemas import RolesRequest
from .app import create_app
from .audit.purge import purge_events
from .config import ConfigurationError
from .doctor import diagnose
from .keys.cli import keys_cli
from .outbox.cli import mail_cli
from .problems import Problem
from .serving import serve
from .sessions.heartbeat import beating
from .sessions.protection import purge_failures
from .sessions.purge import purge_sessions

DOCUMENT = Path(__file__).parent.parent / "openapi"

users_cli = AppGroup("users", help="People.")
users_cli.add_command(import_users_command)
openapi_cli = AppGroup("openapi", help="The OpenAPI document.")


def _create_app() -> Flask:
    try:
        app = create_app()
    except ConfigurationError as error:
        raise SystemExit(f"Keycard cannot start:\n{error}") from None
    for command in (db_cli, users_cli, keys_cli, mail_cli, openapi_cli, serve, doctor, purge):
        app.cli.add_command(command)  # replaces smorest's own `openapi`
    return app


@click.group(cls=FlaskGroup, create_app=_create_app, add_version_option=False, load_dotenv=False)
@click.version_option(package_name="keycard")
def main() -> None:
    """Keycard, the authentication service."""


@click.command()
@with_appcontext
def doctor() -> None:
    """Say what this machine and these settings give: which argon2 runs, what a sign-in costs, and who can be reached."""
    for name, found in diagnose():
        click.echo(f"{name:<18} {found}")


@users_cli.command("create")
@click.argument("username")
@click.option("--email")
@click.option("--admin", "as_admin", is_flag=True, help="Give the role admin too.")
@click.password_option(help="Asked for when not given.")
def create_user(username: str, email: str | None, password: str, *, as_admin: bool) -> None:
    """Create a user."""
    values = {"username": username, "password": password, **({"email": email} if email else {})}
    faults = RegisterRequest().validate(values)
    if faults:
        raise click.ClickException("; ".join(f"{name}: {' '.join(found)}" for name, found in faults.items()))
    roles = (access.USER, access.ADMIN) if as_admin else (access.USER,)
    try:
        user = register(**values, roles=roles)
    except Problem as problem:
        raise click.ClickException(_sentence(problem)) from None
    click.echo(f"{user.id} {user.username} {' '.join(user.roles)}")


@users_cli.command("promote")
@click.argument("username")
@click.option("--role", default=access.ADMIN, show_default=True)
def promote(username: str, role: str) -> None:
    """Give a role to a user. Effective at once."""
    user = _find(username)
    if RolesRequest().validate({"roles": [role]}):
        raise click.ClickException(f"{role!r} cannot be the name of a role: use lower-case letters, digits, - and _.")
    user = admin.set_roles(user.id, {*user.roles, role})
    click.echo(f"{user.username}: {' '.join(user.roles)}")


@users_cli.command("revoke")
@click.argument("username")
def revoke(username: str) -> None:
    """Kill every token of a user that was issued until now."""
    sessions.end_everything(_find(username).id)
    click.echo(f"{username}: all sessions ended.")


def _find(username: str) -> access.Identity:
    try:
        return admin.find_by_username(username)
    except Problem as problem:
        raise click.ClickException(_sentence(problem)) from None


def _sentence(problem: Problem) -> str:
    return " ".join([str(problem.description), *(fault["detail"] for fault in problem.errors)])


@mail_cli.command("work")
def work() -> None:
    """Deliver mail, and keep the revocation mirror complete, until stopped.

    `keycard serve` does so too; this is for servers that do not, and there may be several.
    """
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001 - Flask's own way
    with beating(app):
        outbox.run_worker(app.extensions["keycard.composers"], until={signal.SIGTERM, signal.SIGINT})


@openapi_cli.command("write")
@click.argument("folder", type=click.Path(path_type=Path), default=DOCUMENT)
def write_document(folder: Path) -> None:
    """Write openapi.json, openapi.yaml, and openapi-3.0.json for older generators."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in _document_files().items():
        (folder / name).write_text(text, encoding="utf-8")
        click.echo(f"written: {name}")


@openapi_cli.command("check")
@click.argument("folder", type=click.Path(path_type=Path), default=DOCUMENT)
def check_document(folder: Path) -> None:
    """Fail if the files are not what `write` would write."""
    stale = [
        name
        for name, text in _document_files().items()
        if not (folder / name).is_file() or (folder / name).read_text(encoding="utf-8") != text
    ]
    if stale:
        click.echo(f"not current: {', '.join(stale)}. Run: keycard openapi write", err=True)
        sys.exit(1)
    click.echo("the document is current")


def _document_files() -> dict[str, str]:
    """Made from the defaults, whatever this deployment has set: the files describe Keycard, not a machine."""
    from .config import Settings

    with create_app(Settings(instance_path=current_app.instance_path)).app_context():
        made = openapi.document()
    return {
        "openapi.json": openapi.to_json(made),
        "openapi.yaml": openapi.to_yaml(made),
        "openapi-3.0.json": openapi.to_json(openapi.to_3_0(made)),
    }


@click.command()
@with_appcontext
def purge() -> None:
    """Delete what nothing can use any more: sessions, keys, mailed tokens, counted failures, old events and old mail."""
    long = {"sessions": purge_sessions(), "events": purge_events(), "mails": outbox.purge_mail()}
    found = {name: _purge(name, batches) for name, batches in long.items()}
    found |= {"keys": keys.purge_retired(), "tokens": purge_tokens(), "failures": purge_failures()}
    click.echo(", ".join(f"{count} {name}" for name, count in found.items()) + " deleted.")


def _purge(name: str, batches: Iterator[int]) -> int:
    total = 0
    with click.progressbar(batches, label=name.capitalize()) as shown:
        for deleted in shown:
            total += deleted
    return total
