"""`keycard mail`: what waits, what was given up, and trying that again. And what `keycard purge` takes away."""

import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from click.testing import Result

from api.outbox import purge as purging
from api.outbox import purge_mail
from api.outbox.cli import mail_cli
from tests.outbox.conftest import Outbox
from tests.outbox.mail_server import MailServer

Run = Callable[..., Result]


@pytest.fixture
def run(outbox: Outbox) -> Run:
    """Call a command: `run("list")`."""
    return lambda *words: outbox.app.test_cli_runner().invoke(mail_cli, list(words))


@pytest.fixture
def dead(outbox: Outbox, server: MailServer) -> uuid.UUID:
    """A mail that was given up."""
    server.refusals["gone@example.com"] = "550 No such user"
    mail_id = outbox.ask(recipient="gone@example.com")
    outbox.deliver()
    assert outbox.status(mail_id) == "dead"
    server.reset()
    return mail_id


def test_list_shows_what_waits_and_what_was_given_up(outbox: Outbox, server: MailServer, run: Run, dead: uuid.UUID) -> None:
    """Mail that left is of no interest. One line each, with the reason."""
    sent = outbox.ask()
    outbox.deliver()
    waiting = outbox.ask(recipient="waiting@example.com")
    server.refusals["MAIL"] = "451 Later"
    outbox.deliver()
    listed = run("list")
    assert listed.exit_code == 0
    first, second = listed.output.splitlines()
    assert first.startswith(f"{dead}  note  to gone@example.com  ")
    assert first.endswith("attempts 1  dead  sending: SMTPRecipientsRefused 550")
    assert second.startswith(f"{waiting}  note  to waiting@example.com  ")
    assert "attempts 1  due " in second
    assert second.endswith("sending: SMTPSenderRefused 451")
    assert str(sent) not in listed.output


def test_retry_delivers_what_was_given_up(outbox: Outbox, server: MailServer, run: Run, dead: uuid.UUID) -> None:
    """Under the Message-ID that it always had, and with all attempts before it."""
    other = outbox.ask()
    outbox.deliver()
    assert "1 mails will be tried again." in run("retry", str(dead)).output
    row = outbox.row(dead)
    assert (row.status, row.attempts, row.finished_at) == ("pending", 0, None)
    assert outbox.deliver() == 1
    assert server.taken[-1].message_id == f"<{dead}@[127.0.0.1]>"
    assert outbox.row(other).attempts == 1


def test_retry_all_takes_what_was_given_up_and_nothing_else(outbox: Outbox, run: Run, dead: uuid.UUID) -> None:
    sent = outbox.ask()
    outbox.deliver()
    assert "1 mails will be tried again." in run("retry", "--all").output
    assert [outbox.status(each) for each in (dead, sent)] == ["pending", "sent"]
    assert "0 mails will be tried again." in run("retry", "--all").output


@pytest.mark.parametrize("status", ["pending", "sent", "unheard of"])
def test_retry_refuses_what_was_not_given_up(outbox: Outbox, run: Run, status: str) -> None:
    """Sending again what left already would be a second mail, and what waits comes by itself."""
    mail_id = outbox.ask()
    if status == "sent":
        outbox.deliver()
    result = run("retry", str(uuid.uuid4() if status == "unheard of" else mail_id))
    assert result.exit_code == 1
    assert "was given up" in result.output
    assert outbox.status(mail_id) == ("sent" if status == "sent" else "pending")


@pytest.mark.parametrize("words", [(), ("--all", str(uuid.uuid4())), ("not-an-id",)])
def test_retry_wants_one_or_all(run: Run, words: tuple[str, ...]) -> None:
    assert run("retry", *words).exit_code == 2


def test_old_mail_is_purged_when_it_is_done(outbox: Outbox, clock: Any, dead: uuid.UUID, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a week what left or was dropped, after a month what was given up, and never what waits. In batches."""
    monkeypatch.setattr(purging, "BATCH", 2)
    done = [outbox.ask() for _ in range(2)]
    outbox.deliver()
    outbox.composers["note"] = lambda _: None
    done.append(outbox.ask())
    outbox.deliver()
    waiting = outbox.ask()

    def purge(after: timedelta) -> tuple[list[int], set[uuid.UUID]]:
        clock.shift(after)
        with outbox.app.app_context():
            return list(purge_mail()), {row.id for row in outbox.rows()}

    assert purge(timedelta(days=7)) == ([], {*done, dead, waiting})
    assert purge(timedelta(seconds=1)) == ([2, 1], {dead, waiting})
    assert purge(timedelta(days=23)) == ([1], {waiting})
