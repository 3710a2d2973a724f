"""`keycard`: Flask's command line with the app bound."""

import signal
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from copy import copy
from functools import wraps
from pathlib import Path
from typing import Any

import click
from flask import Flask, current_app
from flask.cli import AppGroup, FlaskGroup, run_command, with_appcontext
from flask_migrate.cli import db as all_db_commands
from werkzeug.serving import is_running_from_reloader

from . import access, admin, keys, openapi, outbox
from .accounts import register, revoke_everything
from .accounts.cli import import_users_command
from .accounts.deletion import forget_devices
from .accounts.one_time_tokens import purge_tokens
from .accounts.schemas import RegisterRequest
from .admin.schemas import RolesRequest
from .app import create_app
from .audit.purge import purge_events
from .config import ConfigurationError
from .doctor import diagnose
from .health.listener import listening
from .keys.cli import keys_cli
from .outbox.cli import mail_cli
from .ports import CannotListenError, reserved
from .problems import Problem
from .serving import serve
from .sessions.heartbeat import beating
from .sessions.purge import purge_sessions
from .sessions.throttle import purge_failures
from .source import checkout

# They write into the folder of Keycard's own migrations.
DB_COMMANDS_OF_A_CHECKOUT = {"init", "migrate", "revision", "merge", "edit"}

users_cli = AppGroup("users", help="People.")
users_cli.add_command(import_users_command)
openapi_cli = AppGroup("openapi", help="The OpenAPI document.")


def _create_app() -> Flask:
    try:
        app = create_app()
    except ConfigurationError as error:
        raise SystemExit(f"Keycard cannot start:\n{error}") from None
    for command in (_db_cli(), users_cli, keys_cli, mail_cli, openapi_cli, serve, doctor, purge):
        app.cli.add_command(command)  # replaces smorest's own `openapi`
    return app


def _db_cli() -> click.Group:
    """Flask-Migrate's commands. An installed package has none that would write into it."""
    found: click.Group = copy(all_db_commands)
    if not checkout():
        found.commands = {name: each for name, each in found.commands.items() if name not in DB_COMMANDS_OF_A_CHECKOUT}
    return found


@click.group(cls=FlaskGroup, create_app=_create_app, add_version_option=False, load_dotenv=False)
@click.version_option(package_name="keycard")
def main() -> None:
    """Keycard, the authentication service."""


def _run() -> click.Command:
    """Flask's `run`, which refuses a port that is taken as `serve` does."""
    command: click.Command = copy(run_command)
    run: Any = run_command.callback

    @wraps(run)
    def checked(host: str, port: int, **options: Any) -> None:
        # The process that reloads has been given the port by the one that has started it.
        is_needed = not (host.startswith("unix://") or is_running_from_reloader())
        try:
            with reserved("--port", host, port) if is_needed else nullcontext():
                run(host=host, port=port, **options)
        except CannotListenError as fault:
            raise SystemExit(f"Keycard cannot start:\n{fault}") from None

    command.callback = checked
    return command


main.add_command(_run())  # in place of Flask's own


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
    """Kill every token of a user that was issued until now, and withdraw what waits in the account."""
    revoke_everything(_find(username).id)
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
    The first one also listens on KEYCARD_METRICS_PORT, if PROMETHEUS_MULTIPROC_DIR names the folder in which the server counts.
    """
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
    with listening(app), beating(app):
        outbox.run_worker(app.extensions["keycard.composers"], until={signal.SIGTERM, signal.SIGINT})


def _document_folder(_context: click.Context, _parameter: click.Parameter, named: Path | None) -> Path:
    """The folder that is named, or that of the checkout."""
    if named:
        return named
    if found := checkout():
        return found / "openapi"
    raise click.UsageError("Name the FOLDER of the document: this is an installed package, and only a checkout has one.")


document_folder = click.argument("folder", type=click.Path(path_type=Path), required=False, callback=_document_folder)


@openapi_cli.command("write")
@document_folder
def write_document(folder: Path) -> None:
    """Write openapi.json, openapi.yaml, and openapi-3.0.json for older generators."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in _document_files().items():
        (folder / name).write_text(text, encoding="utf-8")
        click.echo(f"written: {name}")


@openapi_cli.command("check")
@document_folder
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
    long = {
        "sessions": purge_sessions(),
        "events": purge_events(),
        "mails": outbox.purge_mail(),
        "deleted accounts": forget_devices(),
    }
    found = {name: _purge(name, batches) for name, batches in long.items()}
    found |= {"keys": keys.purge_retired(), "tokens": purge_tokens(), "failures": purge_failures()}
    click.echo(", ".join(f"{count} {name}" for name, count in found.items()) + " deleted.")


def _purge(name: str, batches: Iterator[int]) -> int:
    total = 0
    with click.progressbar(batches, label=name.capitalize()) as shown:
        for deleted in shown:
            total += deleted
    return total
