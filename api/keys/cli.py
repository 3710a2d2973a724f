"""keycard keys."""

import click
from flask.cli import AppGroup

from .rotation import JWKS_MAX_AGE, list_keys, rotate

keys_cli = AppGroup("keys", help="Signing keys.")


@keys_cli.command("list")
def list_() -> None:
    """List the signing keys, newest first."""
    for key in list_keys():
        until = key.retired_at.isoformat(timespec="seconds") if key.retired_at else "-"
        click.echo(
            f"{key.kid}  {key.algorithm}  signs from {key.active_from.isoformat(timespec='seconds')}  verifies until {until}"
        )


@keys_cli.command("rotate")
@click.option("--compromised", is_flag=True, help="The old keys are dead at once: everybody has to sign in again.")
def rotate_(*, compromised: bool) -> None:
    """Add a key and retire the old ones, with overlap; no restart is needed."""
    try:
        key = rotate(compromised=compromised)
    except ValueError as error:
        raise click.ClickException(str(error)) from None
    when = "now" if compromised else f"in {JWKS_MAX_AGE} seconds"
    click.echo(f"{key.kid} signs {when}. Running processes pick it up by themselves.")
