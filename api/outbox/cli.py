"""keycard mail."""

import uuid

import click
from flask.cli import AppGroup
from sqlalchemy import ColumnElement, literal_column, or_, select, update

from .. import clock
from ..database import fetch_all, transaction
from .models import DEAD, PENDING, OutgoingEmail

mail_cli = AppGroup("mail", help="Outgoing mail.")


@mail_cli.command("list")
def list_() -> None:
    """List the mail that waits or was given up, oldest first."""
    unsent = select(OutgoingEmail.__table__).where(or_(_is(PENDING), _is(DEAD)))
    for mail in fetch_all(unsent.order_by(OutgoingEmail.created_at)):
        due = f"due {mail.next_attempt_at.isoformat(timespec='seconds')}" if mail.status == PENDING else DEAD
        asked = mail.created_at.isoformat(timespec="seconds")
        click.echo(
            f"{mail.id}  {mail.kind}  to {mail.recipient or '-'}  asked {asked}  attempts {mail.attempts}  {due}"
            f"  {mail.last_error or '-'}"
        )


@mail_cli.command("retry")
@click.argument("mail_id", metavar="ID", type=click.UUID, required=False)
@click.option("--all", "everything", is_flag=True, help="All that were given up.")
def retry(mail_id: uuid.UUID | None, *, everything: bool) -> None:
    """Try mail again that was given up, as if it had just been asked for."""
    if (mail_id is None) != everything:
        raise click.UsageError("Give the ID of one, or --all.")
    which = [] if everything else [OutgoingEmail.id == mail_id]
    anew = {"status": PENDING, "attempts": 0, "next_attempt_at": clock.now(), "finished_at": None}
    with transaction() as session:
        again = update(OutgoingEmail).where(_is(DEAD), *which).values(**anew)
        ids = session.scalars(again.returning(OutgoingEmail.id)).all()
    if not ids and not everything:
        raise click.ClickException("No mail with this ID was given up; `keycard mail list` shows what there is.")
    click.echo(f"{len(ids)} mails will be tried again.")


def _is(status: str) -> ColumnElement[bool]:
    """A literal, and not a parameter, is what makes the databases see that a partial index fits."""
    return OutgoingEmail.status == literal_column(f"'{status}'")
