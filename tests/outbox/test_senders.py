"""The senders against a real server: encrypted, authenticated, patient for ten seconds; and the folder of development."""

import logging
import smtplib
import socket
import ssl
import uuid
from collections.abc import Iterator
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import pytest

from api.outbox import Message
from api.outbox.senders import FolderSender, SmtpSender, configured_sender
from tests.outbox.certificates import Authority, make_authority
from tests.outbox.configured import configured, text_of
from tests.outbox.mail_server import MailServer
from tests.processes.servers import free_port

MAIL_ID = uuid.UUID("00000000-0000-4000-8000-000000000001")
ELSEWHERE = "mail.example.test"
ACCOUNT = ("key:card@example.com", "p@ss/w%rd:e")
TOKEN = "t" * 43
LINK = f"http://127.0.0.1:8000/docs#token={TOKEN}"
MESSAGE = Message("ada@example.com", "Hello", f".\nOpen:\n\n{LINK}\n", "<p>Hello.</p>\n")


@pytest.fixture(autouse=True)
def context(tmp_path: Path) -> Iterator[None]:
    with configured(tmp_path):
        yield


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("authority"), ELSEWHERE, "localhost", "127.0.0.1")


@pytest.fixture
def trusted(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """This machine trusts the authority."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    return authority


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host name that is not this machine, as far as anybody can see, and leads to the test's own servers."""
    look_up = socket.getaddrinfo

    def resolve(host: Any, *args: Any, **kwargs: Any) -> Any:
        return look_up("127.0.0.1" if host == ELSEWHERE else host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)


def smtp(server: MailServer, host: str = ELSEWHERE, *, scheme: str = "smtp", account: str = "") -> SmtpSender:
    return SmtpSender(f"{scheme}://{account}{host}:{server.port}", timeout=5)


def test_starttls_comes_before_anything_is_said(trusted: Authority) -> None:
    with MailServer().running(tls=trusted.server) as server:
        smtp(server)(MAIL_ID, MESSAGE)
    (taken,) = server.taken
    assert taken.encrypted
    assert taken.recipients == ["ada@example.com"]
    assert text_of(taken.mail) == MESSAGE.text


def test_tls_from_the_first_byte(trusted: Authority) -> None:
    with MailServer().running(implicit_tls=trusted.server) as server:
        smtp(server, scheme="smtps")(MAIL_ID, MESSAGE)
    assert len(server.taken) == 1


def test_a_server_elsewhere_without_tls_gets_nothing() -> None:
    """Also when somebody in between has removed its offer."""
    with MailServer().running() as server, pytest.raises(smtplib.SMTPNotSupportedError):
        smtp(server)(MAIL_ID, MESSAGE)
    assert not server.taken


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_server_on_this_machine_needs_no_tls(host: str) -> None:
    with MailServer().running() as server:
        smtp(server, host)(MAIL_ID, MESSAGE)
    assert [each.encrypted for each in server.taken] == [False]


def test_a_server_on_this_machine_that_has_tls_is_spoken_to_with_it(trusted: Authority) -> None:
    with MailServer().running(tls=trusted.server) as server:
        smtp(server, "localhost")(MAIL_ID, MESSAGE)
    assert [each.encrypted for each in server.taken] == [True]


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
@pytest.mark.parametrize("fault", ["unknown authority", "other host", "expired"])
def test_a_bad_certificate_ends_the_conversation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: str, fault: str
) -> None:
    name = "other.example.test" if fault == "other host" else ELSEWHERE
    found = make_authority(tmp_path, name, expired=fault == "expired")
    if fault != "unknown authority":
        monkeypatch.setenv("SSL_CERT_FILE", str(found.file))
    context = {"smtp": {"tls": found.server}, "smtps": {"implicit_tls": found.server}}[scheme]
    with MailServer().running(**context) as server, pytest.raises(ssl.SSLCertVerificationError):
        smtp(server, scheme=scheme)(MAIL_ID, MESSAGE)
    assert not server.taken


def test_the_account_of_the_url_is_used(trusted: Authority) -> None:
    """Its characters are percent-encoded there."""
    account = "key%3Acard%40example.com:p%40ss%2Fw%25rd%3Ae@"
    with MailServer(account=ACCOUNT).running(tls=trusted.server, authenticate=True) as server:
        smtp(server, account=account)(MAIL_ID, MESSAGE)
        with pytest.raises(smtplib.SMTPAuthenticationError):
            smtp(server, account="somebody:else@")(MAIL_ID, MESSAGE)
        with pytest.raises(smtplib.SMTPSenderRefused):
            smtp(server)(MAIL_ID, MESSAGE)
    assert len(server.taken) == 1


def test_the_password_is_not_shown() -> None:
    assert "secret" not in repr(SmtpSender("smtp://keycard:secret@mail.example.com"))


def test_a_refused_recipient_is_told() -> None:
    with MailServer().running() as server:
        server.refusals["RCPT"] = "550 No such user"
        with pytest.raises(smtplib.SMTPRecipientsRefused):
            smtp(server, "127.0.0.1")(MAIL_ID, MESSAGE)


@pytest.mark.parametrize("step", ["EHLO", "MAIL", "RCPT", "DATA", "ACCEPTED"])
def test_a_server_that_says_nothing_more_is_left(step: str) -> None:
    """Ten seconds are waited for each answer; here it is less."""
    with MailServer().running() as server:
        server.stalls.add(step)
        with pytest.raises(OSError, match="timed out"):
            SmtpSender(server.url, timeout=0.2)(MAIL_ID, MESSAGE)
    assert SmtpSender(server.url).timeout == 10


def test_a_server_that_never_greets_is_left() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, pytest.raises(OSError, match="timed out"):
        SmtpSender(f"smtp://127.0.0.1:{listener.getsockname()[1]}", timeout=0.2)(MAIL_ID, MESSAGE)


def test_nobody_there_is_an_error() -> None:
    with pytest.raises(ConnectionRefusedError):
        SmtpSender(f"smtp://127.0.0.1:{free_port()}")(MAIL_ID, MESSAGE)


def test_what_comes_after_the_mail_was_taken_is_no_error() -> None:
    with MailServer().running() as server:
        server.stalls.add("QUIT")
        SmtpSender(server.url, timeout=0.2)(MAIL_ID, MESSAGE)
        server.reset()
        server.refusals["QUIT"] = "500 No"
        SmtpSender(server.url, timeout=5)(MAIL_ID, MESSAGE)
    assert len(server.taken) == 1


def test_the_folder_gets_a_file_for_each_mail(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Only its owner can read it, because it holds the token; the log has the link to click."""
    folder = tmp_path / "somewhere" / "outbox"
    FolderSender(folder)(MAIL_ID, MESSAGE)
    FolderSender(folder)(MAIL_ID, MESSAGE)
    (file,) = folder.iterdir()
    assert file.name == f"{MAIL_ID}.eml"
    assert (folder.stat().st_mode & 0o777, file.stat().st_mode & 0o777) == (0o700, 0o600)
    mail = message_from_bytes(file.read_bytes(), policy=policy.SMTP)
    assert (mail["To"], mail["Subject"]) == ("ada@example.com", "Hello")
    assert LINK in file.read_text()
    record = caplog.records[-1]
    assert record.levelno >= logging.WARNING  # which is seen without any configuration of logs
    assert LINK in record.getMessage()
    assert "Hello" in record.getMessage()


def test_a_mail_without_a_link_is_logged_without_one(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    FolderSender(tmp_path)(MAIL_ID, Message("ada@example.com", "Hello", "Hello.\n", "<p>Hello.</p>\n"))
    assert "Hello" in caplog.text
    assert "http" not in caplog.text


def test_nobody_sees_half_a_file(tmp_path: Path) -> None:
    """A file is whole when it appears: it is never written to again, so who has opened it reads it to its end."""
    FolderSender(tmp_path)(MAIL_ID, MESSAGE)
    with (tmp_path / f"{MAIL_ID}.eml").open() as opened:
        FolderSender(tmp_path)(MAIL_ID, Message("ada@example.com", "Other", "Other.\n", "<p>Other.</p>\n"))
        assert LINK in opened.read()
    assert LINK not in (tmp_path / f"{MAIL_ID}.eml").read_text()


def test_the_settings_choose_the_sender(tmp_path: Path) -> None:
    """Mail goes into a folder only where no server is named."""
    assert configured_sender() == FolderSender(tmp_path / "outbox")
    with configured(tmp_path, smtp_url="smtps://mail.example.com"):
        assert configured_sender() == SmtpSender("smtps://mail.example.com")
