"""Mail and the death of processes: what was committed arrives, whenever the kill came; what was rolled back never does."""

import os
import re
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from email import message_from_bytes, policy
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Row, create_engine, text

from tests.actors import new_name
from tests.conftest import Stores
from tests.outbox.configured import text_of
from tests.outbox.mail_server import STEPS, MailServer
from tests.processes.servers import KEYCARD, START_SECONDS, STOP_SECONDS, Server, Visitor, eventually, simultaneously

# One test starts several processes, one after the other.
pytestmark = pytest.mark.timeout(420)


@pytest.fixture(scope="module")
def mail_server() -> Iterator[MailServer]:
    with MailServer().running() as server:
        yield server


@pytest.fixture
def mail(mail_server: MailServer) -> MailServer:
    """A server for mail, which has none yet."""
    mail_server.reset()
    return mail_server


class Case:
    """A service on stores of its own, whose processes come and go."""

    def __init__(self, stores: Stores, start: Callable[..., Server], mail: MailServer, folder: Path) -> None:
        self.stores = stores
        self.start = lambda *options: start(stores, *options, smtp_url=mail.url)
        url = stores.settings(folder).database
        self.engine = create_engine(url, isolation_level="AUTOCOMMIT")

    def query(self, statement: str, **values: Any) -> list[Row[Any]]:
        with self.engine.connect() as connection:
            result = connection.execute(text(statement), values)
            return list(result.all()) if result.returns_rows else []

    def mails(self) -> list[Row[Any]]:
        return self.query("SELECT status, attempts FROM outgoing_emails")

    def a_minute_passes(self) -> None:
        """So that what a dead worker had claimed is due again; nobody needs to wait for that here."""
        self.query("UPDATE outgoing_emails SET next_attempt_at = created_at WHERE status = 'pending'")

    def all_is_done(self) -> bool:
        return {row.status for row in self.mails()} <= {"sent", "dropped"}


@pytest.fixture
def case(new_stores: Callable[[], Stores], start: Callable[..., Server], mail: MailServer, tmp_path: Path) -> Iterator[Case]:
    made = Case(new_stores(), start, mail, tmp_path)
    yield made
    made.engine.dispose()


def kill(server: Server) -> None:
    """kill -9, to the process and all that it has started."""
    os.killpg(server.process.pid, signal.SIGKILL)
    server.process.wait(STOP_SECONDS)


def register(server: Server, email: str, name: str | None = None) -> int:
    return Visitor(server, name).register(email=email).status_code


def token_of(letter: str) -> str:
    (token,) = re.findall(r"#token=([A-Za-z0-9_-]{43})", letter)
    return str(token)


def verify(server: Server, token: str) -> int:
    return server.client.post("/v1/auth/email/verify", json={"token": token}).status_code


def test_a_kill_at_any_step_of_the_delivery_loses_nothing(case: Case, mail: MailServer) -> None:
    """One mail, whose every attempt but the last is cut off by a kill, each one step later. All that arrive are the same mail."""
    mail.stalls = {STEPS[0]}
    server = case.start().wait()
    assert register(server, "ada@example.com") == 201
    for step, following in zip(STEPS, [*STEPS[1:], None], strict=True):
        mail.wait_for(step)
        kill(server)
        mail.stalls = {following} - {None}
        case.a_minute_passes()
        server = case.start()
    eventually(lambda: [row.status for row in case.mails()] == ["sent"], START_SECONDS)
    assert case.mails() == [("sent", len(STEPS) + 1)]
    # The server had it when the answer to DATA, and when the answer to QUIT, was cut off; and in the end.
    assert len(mail.taken) == 3
    assert len({each.message_id for each in mail.taken}) == 1
    assert [each.recipients for each in mail.taken] == [["ada@example.com"]] * 3
    # The token of a mail that left is known, although the process that sent it remembers nothing.
    assert verify(server.wait(), token_of(text_of(mail.taken[0].mail))) == 204


def test_a_kill_between_commit_and_delivery_loses_nothing(case: Case, mail: MailServer) -> None:
    """The process that delivers stands still before the request; the one that answers does not."""
    server = case.start().wait()
    (mailer,) = server.mailers()
    os.kill(mailer, signal.SIGSTOP)
    assert register(server, "ada@example.com") == 201
    kill(server)
    assert case.mails() == [("pending", 0)]
    assert not mail.taken
    case.start()
    eventually(lambda: mail.taken, START_SECONDS)
    eventually(lambda: case.mails() == [("sent", 1)])
    assert len(mail.taken) == 1


@contextmanager
def nobody_can_write_mail(case: Case) -> Iterator[Callable[[], bool]]:
    """Whoever asks for a mail waits while the block runs; gives what says whether somebody does."""
    if case.stores.name == "sqlite":
        lock, waits = "BEGIN IMMEDIATE", "SELECT 1"  # of those who wait for a lock of SQLite there is no list
    else:
        lock = "BEGIN; LOCK TABLE outgoing_emails IN SHARE MODE"
        waits = "SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'outgoing_emails'::regclass"
    with case.engine.connect() as connection:
        connection.exec_driver_sql(lock)
        yield lambda: bool(case.query(waits))
        connection.exec_driver_sql("ROLLBACK")


def test_a_kill_before_the_commit_sends_nothing(case: Case, mail: MailServer) -> None:
    """There is no account then, so there must be no mail; its name is still free."""
    server = case.start().wait()
    name = new_name()
    with nobody_can_write_mail(case) as somebody_waits:
        asking = threading.Thread(target=lambda: suppress_transport_errors(lambda: register(server, "lost@example.com", name)))
        asking.start()
        eventually(somebody_waits)
        assert server.status("/health/live") == 200  # by then the server has read the request before
        kill(server)
        asking.join()
    again = case.start().wait()
    assert case.mails() == []
    assert register(again, "found@example.com", name) == 201
    eventually(case.all_is_done)
    assert [each.recipients for each in mail.taken] == [["found@example.com"]]


def suppress_transport_errors(call: Callable[[], Any]) -> None:
    with suppress(httpx.TransportError):
        call()


def test_of_simultaneous_registrations_only_the_one_that_counts_is_mailed(case: Case, mail: MailServer) -> None:
    """The others are rolled back, whatever they had asked for until then."""
    server = case.start("--workers", "2").wait()
    for _ in range(4):
        name, addresses = new_name(), [f"{new_name()}@example.com" for _ in range(6)]
        before = len(case.mails())
        answers = simultaneously(*[partial(register, server, each, name) for each in addresses])
        assert sorted(answers) == [201] + [409] * 5
        assert len(case.mails()) == before + 1
        eventually(case.all_is_done)
        assert mail.taken[-1].recipients == [addresses[answers.index(201)]]
    assert len(mail.taken) == 4
    assert set(case.mails()) == {("sent", 1)}


def test_a_kill_under_load_leaves_an_account_and_its_mail_or_neither(case: Case, mail: MailServer) -> None:
    """Kills in the midst of many registrations: each account gets its mail, each mail belongs to an account."""
    answered: set[str] = set()
    for enough in (5, 15):
        server = case.start("--workers", "2").wait()
        done = threading.Semaphore(0)

        def ask(_: int, server: Server = server, done: threading.Semaphore = done) -> str | None:
            email = f"{new_name()}@example.com"
            try:
                return email if register(server, email) == 201 else None
            except httpx.TransportError:
                return None  # killed, with the account or without
            finally:
                done.release()

        with ThreadPoolExecutor(6) as pool:
            asked = pool.map(ask, range(enough + 12))
            for _ in range(enough):
                assert done.acquire(timeout=START_SECONDS)
            kill(server)
            answered |= {each for each in asked if each}
    case.a_minute_passes()
    case.start()
    eventually(case.all_is_done, START_SECONDS)
    accounts = {row.email for row in case.query("SELECT email FROM users WHERE email IS NOT NULL")}
    mailed = [(each.recipients[0], each.message_id) for each in mail.taken]
    assert {recipient for recipient, _ in mailed} == accounts
    assert answered <= accounts
    assert len(answered) >= 15
    assert len(set(mailed)) == len(accounts)


def test_sigterm_lets_the_mail_that_is_being_sent_arrive(case: Case, mail: MailServer) -> None:
    mail.stalls = {"DATA"}
    server = case.start().wait()
    assert register(server, "ada@example.com") == 201
    mail.wait_for("DATA")
    server.terminate()
    eventually(lambda: "Granian shutdown completed" in server.log)
    assert server.process.poll() is None
    mail.go_on()
    assert server.process.wait(STOP_SECONDS) == 0
    assert case.mails() == [("sent", 1)]
    assert len(mail.taken) == 1


def test_the_process_that_delivers_has_a_successor(case: Case, mail: MailServer) -> None:
    """And whoever ends it ends nothing else: what it was sending is sent again."""
    server = case.start().wait()
    mail.stalls = {"DATA"}
    assert register(server, "ada@example.com") == 201
    mail.wait_for("DATA")
    (first,) = server.mailers()
    os.kill(first, signal.SIGKILL)
    (second,) = eventually(lambda: [pid for pid in server.mailers() if pid != first])
    mail.stalls = set()
    case.a_minute_passes()
    eventually(lambda: case.mails() == [("sent", 2)])
    assert f"the process that delivers mail has ended (-{signal.SIGKILL:d})" in server.log
    assert server.mailers() == [second]
    server.terminate()
    assert server.process.wait(STOP_SECONDS) == 0
    assert not Path(f"/proc/{second}").exists()


def test_no_mail_is_delivered_once_everybody_else_has_gone(case: Case) -> None:
    """kill -9 of the first process cannot be passed on; but where nobody answers any more nobody asks for mail."""
    server = case.start().wait()
    (mailer,), workers = server.mailers(), server.workers()
    for pid in (server.process.pid, *workers):
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: has_ended(mailer))


def has_ended(pid: int) -> bool:
    """Whether a process is no more; where nobody asks how an orphan ended, it stays in the list as a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_a_worker_of_its_own_delivers_until_it_is_told_to_stop(case: Case, mail: MailServer) -> None:
    """For servers that have none: `keycard mail work`."""
    server = case.start().wait()
    (mailer,) = server.mailers()
    os.kill(mailer, signal.SIGSTOP)
    assert register(server, "ada@example.com") == 201
    command = [KEYCARD, "mail", "work"]
    with subprocess.Popen(command, env=server.environment, cwd=server.environment["HOME"]) as worker:
        eventually(lambda: case.mails() == [("sent", 1)], START_SECONDS)
        worker.terminate()
        assert worker.wait(STOP_SECONDS) == 0
    os.kill(mailer, signal.SIGCONT)
    assert len(mail.taken) == 1


def test_in_development_the_link_is_in_the_log(
    new_stores: Callable[[], Stores], start: Callable[..., Server], tmp_path: Path
) -> None:
    """And the mail in a file. Nothing has to be set up for that."""
    server = start(new_stores(), instance_path=tmp_path).wait()
    assert register(server, "ada@example.com") == 201
    eventually(lambda: "#token=" in server.log)
    (file,) = (tmp_path / "outbox").glob("*.eml")
    letter = message_from_bytes(file.read_bytes(), policy=policy.SMTP)
    assert letter["To"] == "ada@example.com"
    assert token_of(text_of(letter)) == token_of(server.log)  # type: ignore[arg-type]
    assert verify(server, token_of(server.log)) == 204
