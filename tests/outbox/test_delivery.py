"""From a committed transaction to the mail server: once if all goes well, at least once whatever happens, and nothing else."""

import json
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import event, text

from api.clock import now
from api.database import READ, db, transaction
from api.outbox import Composer, Message, OutgoingEmail, deliver_due, drop_all, enqueue, sent_about
from api.outbox.delivery import BATCH, DELAYS, LEASE, MAX_ATTEMPTS
from tests.outbox.conftest import RECIPIENT, Outbox, note
from tests.outbox.mail_server import MailServer
from tests.processes.servers import simultaneously

SECRET = "a-token-that-nobody-may-read"


class Died(BaseException):
    """What a kill is to a program: nothing of it catches this."""


@contextmanager
def stalled(outbox: Outbox, server: MailServer, step: str) -> Iterator[None]:
    """Somebody delivers and waits for the server at a step while the block runs, which ends that."""
    server.stalls.add(step)
    sending = threading.Thread(target=Outbox(outbox.app, dict(outbox.composers)).deliver)
    sending.start()
    server.wait_for(step)
    yield
    sending.join()


def test_a_committed_mail_leaves_once(outbox: Outbox, server: MailServer) -> None:
    """Afterwards the address is not kept."""
    mail_id = outbox.ask()
    assert outbox.deliver() == 1
    assert outbox.deliver() == 0
    (taken,) = server.taken
    assert (taken.sender, taken.recipients) == ("keycard@localhost", [RECIPIENT])
    assert taken.mail["To"] == RECIPIENT
    assert taken.mail["Subject"] == "A note"
    assert taken.mail["Auto-Submitted"] == "auto-generated"
    assert taken.message_id == f"<{mail_id}@[127.0.0.1]>"
    row = outbox.row(mail_id)
    assert (row.status, row.recipient, row.attempts, row.last_error) == ("sent", "", 1, None)
    assert row.finished_at is not None


def test_a_rollback_sends_nothing(outbox: Outbox, server: MailServer) -> None:
    def fail() -> None:
        with transaction():
            enqueue("note", RECIPIENT)
            raise ZeroDivisionError

    with outbox.app.app_context(), pytest.raises(ZeroDivisionError):
        fail()
    assert outbox.deliver() == 0
    assert not outbox.rows()
    assert not server.taken


def test_a_mail_does_not_leave_before_the_commit(outbox: Outbox, server: MailServer) -> None:
    with outbox.app.app_context(), transaction() as session:
        enqueue("note", RECIPIENT)
        session.flush()
        assert simultaneously(outbox.deliver) == [0]
    assert not server.taken
    assert outbox.deliver() == 1


def test_nobody_to_write_to_is_no_mail(outbox: Outbox, server: MailServer) -> None:
    outbox.composers["note"] = lambda _: None
    mail_id = outbox.ask()
    assert outbox.deliver() == 0
    row = outbox.row(mail_id)
    assert (row.status, row.recipient, row.finished_at is None) == ("dropped", "", False)
    assert not server.taken


def test_retries_wait_longer_and_longer_and_then_the_mail_is_dead(outbox: Outbox, server: MailServer, clock: Any) -> None:
    """About a day, so that a server may be away over night; not a moment before, and not a second time at the same moment."""
    server.refusals["MAIL"] = "451 Try again later"
    mail_id = outbox.ask()
    for attempt, delay in enumerate(DELAYS, start=1):
        outbox.deliver()
        outbox.deliver()
        row = outbox.row(mail_id)
        assert (row.status, row.attempts, row.last_error) == ("pending", attempt, "sending: SMTPSenderRefused 451")
        assert row.next_attempt_at == now() + delay
        clock.shift(delay - timedelta(seconds=1))
        outbox.deliver()
        assert outbox.row(mail_id).attempts == attempt
        clock.shift(1)
    outbox.deliver()
    row = outbox.row(mail_id)
    assert (row.status, row.attempts, row.recipient, row.finished_at) == ("dead", MAX_ATTEMPTS, RECIPIENT, now())
    clock.shift(timedelta(days=1))
    server.reset()
    assert outbox.deliver() == 0
    assert sorted(DELAYS) == list(DELAYS)
    assert timedelta(hours=20) < sum(DELAYS, timedelta()) < timedelta(hours=26)


def test_a_mail_that_failed_is_delivered_once_the_server_is_back(outbox: Outbox, server: MailServer, clock: Any) -> None:
    server.refusals["MAIL"] = "421 Closing"
    mail_id = outbox.ask()
    assert outbox.deliver() == 0
    server.reset()
    clock.shift(DELAYS[0])
    assert outbox.deliver() == 1
    row = outbox.row(mail_id)
    assert (row.status, row.attempts, row.last_error) == ("sent", 2, None)


@pytest.mark.parametrize("step", ["DATA", "ACCEPTED"])
def test_a_server_that_hangs_up_gets_the_same_mail_again(outbox: Outbox, server: MailServer, clock: Any, step: str) -> None:
    """Who cannot know whether it was taken sends it again, with the same Message-ID, so that a mail server can tell."""
    server.breaks.add(step)
    mail_id = outbox.ask()
    for delay in DELAYS[:2]:
        assert outbox.deliver() == 0
        assert outbox.row(mail_id).last_error == "sending: SMTPServerDisconnected"
        clock.shift(delay)
    server.breaks.clear()
    assert outbox.deliver() == 1
    assert len(server.taken) == (3 if step == "ACCEPTED" else 1)
    assert {each.message_id for each in server.taken} == {f"<{mail_id}@[127.0.0.1]>"}


def test_how_a_server_says_goodbye_does_not_matter(outbox: Outbox, server: MailServer) -> None:
    server.breaks.add("QUIT")
    mail_id = outbox.ask()
    assert outbox.deliver() == 1
    assert outbox.status(mail_id) == "sent"


def test_an_address_that_is_refused_for_good_is_not_tried_again(outbox: Outbox, server: MailServer) -> None:
    """Unlike one that is refused for now."""
    server.refusals |= {"gone@example.com": "550 No such user", "full@example.com": "452 Mailbox full"}
    gone, full, fine = (outbox.ask(recipient=f"{name}@example.com") for name in ("gone", "full", "fine"))
    assert outbox.deliver() == 1
    assert [outbox.status(each) for each in (gone, full, fine)] == ["dead", "pending", "sent"]
    assert outbox.row(gone).last_error == "sending: SMTPRecipientsRefused 550"
    assert outbox.row(full).last_error == "sending: SMTPRecipientsRefused 452"


def test_one_bad_mail_does_not_keep_the_others(outbox: Outbox, server: MailServer, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever is wrong with it. What was wrong is told without what the mail was about."""

    def careless(mail: OutgoingEmail) -> Message:
        raise ValueError(f"{mail.recipient} {SECRET}")

    def shy(mail: OutgoingEmail) -> Message:
        with transaction() as session:
            session.execute(text("SELECT nothing FROM nowhere WHERE secret = :secret"), {"secret": SECRET})
        return note(mail)

    outbox.composers |= {"careless": careless, "shy": shy}
    bad = [outbox.ask(kind) for kind in ("careless", "shy", "unheard-of")]
    bad.append(outbox.ask(recipient="two@example.com, addresses@example.com"))
    good = outbox.ask()
    assert outbox.deliver() == 1
    assert [outbox.status(each) for each in bad] == ["pending"] * 4
    assert outbox.status(good) == "sent"
    errors = [str(outbox.row(each).last_error) for each in bad]
    assert errors[0].startswith("composing: ValueError at tests/outbox/test_delivery.py:")
    assert errors[1].startswith(("composing: OperationalError", "composing: UndefinedTable"))
    assert errors[2].startswith("composing: UnknownKindError")
    assert errors[3].startswith("sending: ")
    told = caplog.text + "".join(errors)
    assert len([record for record in caplog.records if record.name == "keycard"]) == 4
    assert SECRET not in told
    assert "example.com" not in told


def in_a_test(mail: OutgoingEmail) -> Message:
    raise ValueError(SECRET)


def in_a_library(mail: OutgoingEmail) -> Message:
    json.loads(SECRET)
    return note(mail)


@pytest.mark.parametrize(
    ("composer", "reason"),
    [
        (in_a_test, "composing: ValueError at tests/outbox/test_delivery.py:"),
        (in_a_library, "composing: JSONDecodeError at tests/outbox/test_delivery.py:"),
        (None, "composing: UnknownKindError at api/outbox/delivery.py:"),
    ],
    ids=["ours", "a library's", "Keycard's"],
)
def test_an_error_anywhere_is_counted_named_and_final_in_the_end(
    outbox: Outbox, server: MailServer, clock: Any, composer: Composer | None, reason: str
) -> None:
    """The place is that of Keycard's code or the operator's, wherever both are installed. Other mail leaves meanwhile."""
    outbox.composers |= {"broken": composer} if composer else {}
    broken = outbox.ask("broken")
    for attempt, delay in enumerate((*DELAYS, LEASE), start=1):
        good = outbox.ask()
        assert outbox.deliver() == 1
        assert outbox.status(good) == "sent"
        row = outbox.row(broken)
        assert row.attempts == attempt
        assert row.last_error.startswith(reason)
        clock.shift(delay)
    assert (row.status, len(server.taken)) == ("dead", MAX_ATTEMPTS)


def test_simultaneous_workers_deliver_each_mail_once(outbox: Outbox, server: MailServer) -> None:
    ids = [outbox.ask(recipient=f"reader-{number}@example.com") for number in range(20)]
    assert sum(simultaneously(*[outbox.deliver] * 4)) == 20
    assert sorted(each.message_id for each in server.taken) == sorted(f"<{each}@[127.0.0.1]>" for each in ids)
    assert {row.attempts for row in outbox.rows()} == {1}


def test_a_mail_that_is_being_sent_is_left_alone(outbox: Outbox, server: MailServer) -> None:
    mail_id = outbox.ask()
    with stalled(outbox, server, "DATA"):
        assert outbox.deliver() == 0
        assert outbox.row(mail_id).attempts == 1
        server.go_on()
    assert outbox.status(mail_id) == "sent"
    assert len(server.taken) == 1


def test_what_a_dead_worker_had_claimed_is_delivered_when_its_lease_is_over(
    outbox: Outbox, server: MailServer, clock: Any
) -> None:
    def die(_: OutgoingEmail) -> Message:
        raise Died

    outbox.composers["note"] = die
    mail_id = outbox.ask()
    with pytest.raises(Died):
        outbox.deliver()
    outbox.composers["note"] = note
    clock.shift(LEASE - timedelta(seconds=1))
    assert outbox.deliver() == 0
    clock.shift(1)
    assert outbox.deliver() == 1
    assert (outbox.row(mail_id).attempts, len(server.taken)) == (2, 1)


def test_a_mail_that_kills_its_worker_each_time_is_given_up(outbox: Outbox, clock: Any) -> None:
    """One that makes the process end would otherwise do so for ever."""

    def die(_: OutgoingEmail) -> Message:
        raise Died

    outbox.composers["note"] = die
    mail_id = outbox.ask()
    for _ in range(MAX_ATTEMPTS):
        with pytest.raises(Died):
            outbox.deliver()
        clock.shift(LEASE)
    assert outbox.deliver() == 0
    row = outbox.row(mail_id)
    assert row.status == "dead"
    assert row.last_error.startswith("composing: WorkerDiedError")


def test_a_worker_that_was_overtaken_and_fails_changes_nothing(outbox: Outbox, server: MailServer, clock: Any) -> None:
    """Its mail belongs to somebody else by then, who is still at it."""

    def die(_: OutgoingEmail) -> Message:
        raise Died

    mail_id = outbox.ask()
    with stalled(outbox, server, "MAIL"):
        clock.shift(LEASE)
        outbox.composers["note"] = die
        with pytest.raises(Died):
            outbox.deliver()
        server.hang_up()
    row = outbox.row(mail_id)
    assert (row.status, row.attempts, row.last_error, row.next_attempt_at) == ("pending", 2, None, now() + LEASE)


def test_a_worker_that_was_overtaken_and_succeeds_does_no_harm(outbox: Outbox, server: MailServer, clock: Any) -> None:
    """The mail server gets the same mail twice, and can tell that it is the same."""
    mail_id = outbox.ask()
    with stalled(outbox, server, "MAIL"):
        clock.shift(LEASE)
        server.stalls.clear()
        assert outbox.deliver() == 1
        server.go_on()
    assert [each.message_id for each in server.taken] == [f"<{mail_id}@[127.0.0.1]>"] * 2
    assert (outbox.status(mail_id), outbox.row(mail_id).attempts) == ("sent", 2)


def test_what_a_composer_writes_is_there_before_the_mail_leaves(outbox: Outbox, server: MailServer) -> None:
    """A token that somebody holds must be one that we know; also after a kill in between."""

    def writing(mail: OutgoingEmail) -> Message:
        enqueue("trace", "trace@example.com")
        return note(mail)

    outbox.composers["note"] = writing
    outbox.ask()
    with stalled(outbox, server, "MAIL"):
        assert "trace" in {row.kind for row in outbox.rows()}
        server.go_on()


def test_what_a_failing_composer_wrote_is_undone(outbox: Outbox) -> None:
    def failing(_: OutgoingEmail) -> Message:
        enqueue("trace", "trace@example.com")
        raise ValueError

    outbox.composers["note"] = failing
    outbox.ask()
    outbox.deliver()
    assert {row.kind for row in outbox.rows()} == {"note"}


def test_dropped_mail_does_not_leave(outbox: Outbox, server: MailServer) -> None:
    """Waiting, being composed, or given up: whoever is gone gets no more mail, and no address stays."""
    me, other = uuid.uuid4(), uuid.uuid4()
    server.refusals["gone@example.com"] = "550 No such user"
    given_up = outbox.ask(recipient="gone@example.com", user_id=me)
    outbox.deliver()
    waiting, others = outbox.ask(user_id=me), outbox.ask(user_id=other)
    with outbox.app.app_context():
        drop_all(me)
    assert outbox.deliver() == 1
    assert [outbox.status(each) for each in (given_up, waiting, others)] == ["dropped", "dropped", "sent"]
    assert {row.recipient for row in outbox.rows()} == {""}
    assert len(server.taken) == 1


def test_mail_dropped_after_it_was_found_is_not_claimed(outbox: Outbox, server: MailServer) -> None:
    """A round can take minutes: what was due when it began may be done with when its turn comes."""
    me = uuid.uuid4()
    mail_id = outbox.ask(user_id=me)
    with outbox.app.app_context():
        assert deliver_due(outbox.composers, go_on=lambda: drop_all(me) is None) == 0
    assert (outbox.status(mail_id), outbox.row(mail_id).attempts) == ("dropped", 0)
    assert not server.taken


def test_mail_dropped_after_it_was_claimed_is_not_composed(outbox: Outbox) -> None:
    me, composed = uuid.uuid4(), []

    def drop() -> None:
        with outbox.app.app_context():
            drop_all(me)

    def composing(mail: OutgoingEmail) -> Message:
        composed.append(mail.id)
        return note(mail)

    outbox.composers["note"] = composing
    mail_id = outbox.ask(user_id=me)
    with outbox.app.app_context():
        event.listen(db.session, "after_commit", lambda _: simultaneously(drop), once=True)
        assert deliver_due(outbox.composers) == 0
    assert (outbox.status(mail_id), outbox.row(mail_id).attempts) == ("dropped", 1)
    assert not composed


def test_mail_dropped_while_it_is_sent_stays_dropped(outbox: Outbox) -> None:
    me = uuid.uuid4()

    def dropping(mail: OutgoingEmail) -> Message:
        message = note(mail)
        drop_all(me)
        return message

    outbox.composers["note"] = dropping
    mail_id = outbox.ask(user_id=me)
    outbox.deliver()
    assert (outbox.status(mail_id), outbox.row(mail_id).recipient) == ("dropped", "")


def test_only_mail_that_left_counts_as_sent(outbox: Outbox, server: MailServer, clock: Any) -> None:
    me, start = uuid.uuid4(), now()
    server.refusals["full@example.com"] = "452 Mailbox full"
    outbox.ask(recipient="full@example.com", user_id=me)
    outbox.ask(user_id=uuid.uuid4())
    for _ in range(2):
        clock.shift(1)
        outbox.ask(user_id=me)
        outbox.deliver()
    with outbox.app.app_context():
        assert sent_about(me, start, "note", "other") == 2
        assert sent_about(me, start + timedelta(seconds=1), "note") == 1
        assert sent_about(me, start, "other") == 0


def test_a_worker_that_shall_stop_finishes_one_mail_only(outbox: Outbox, server: MailServer) -> None:
    for _ in range(3):
        outbox.ask()
    with outbox.app.app_context():
        assert deliver_due(outbox.composers, go_on=lambda: not server.taken) == 1
    assert len(server.taken) == 1


def test_what_is_due_longest_goes_first(outbox: Outbox, server: MailServer, clock: Any) -> None:
    """So that a mail that always fails cannot push in front of one that never had its turn."""
    server.refusals["MAIL"] = "451 Later"
    failed = outbox.ask()
    outbox.deliver()
    server.reset()
    clock.shift(DELAYS[0] / 2)
    fresh = outbox.ask()
    clock.shift(DELAYS[0])
    assert outbox.deliver() == 2
    assert [each.message_id for each in server.taken] == [f"<{each}@[127.0.0.1]>" for each in (fresh, failed)]


def test_more_mail_than_a_batch_is_delivered_in_several(outbox: Outbox) -> None:
    outbox.composers["note"] = lambda _: None
    with outbox.app.app_context(), transaction():
        for _ in range(BATCH + 1):
            enqueue("note", RECIPIENT)
    outbox.deliver()
    assert sorted(row.status for row in outbox.rows()) == ["dropped"] * BATCH + ["pending"]
    outbox.deliver()
    assert {row.status for row in outbox.rows()} == {"dropped"}


def test_looking_for_mail_costs_one_indexed_read(outbox: Outbox, app: Flask, store_name: str) -> None:
    """It is done every second: no transaction, and no look at the mail that is done with."""
    statements: list[tuple[str, Any]] = []

    def remember(_conn: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        statements.append((statement, parameters))

    with app.app_context():
        for engine in db.engines.values():
            event.listen(engine, "before_cursor_execute", remember)
        try:
            outbox.deliver()
        finally:
            for engine in db.engines.values():
                event.remove(engine, "before_cursor_execute", remember)
        ((statement, parameters),) = statements
        assert "status = 'pending'" in statement  # PostgreSQL plans for every value of a parameter
        assert "ORDER BY outgoing_emails.next_attempt_at" in statement
        with db.engines[READ].connect() as connection:
            if store_name == "postgresql":  # for an empty table it would not care
                connection.exec_driver_sql("SET enable_seqscan = off")
            explain = "EXPLAIN QUERY PLAN " if store_name == "sqlite" else "EXPLAIN "
            plan = str(connection.exec_driver_sql(explain + statement, parameters).all())
            if store_name == "postgresql":
                connection.exec_driver_sql("RESET enable_seqscan")
    assert "ix_outgoing_emails_due" in plan
    assert "TEMP B-TREE" not in plan
    assert "Sort" not in plan
