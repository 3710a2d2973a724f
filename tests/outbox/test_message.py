"""How a mail is written on the wire: what must not get into its headers, and what must stay in one piece."""

import uuid
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import cast

import pytest

from api.outbox import Message
from api.outbox.message import to_mime
from tests.outbox.configured import configured, text_of

MAIL_ID = uuid.UUID("00000000-0000-4000-8000-000000000001")
LINK = f"https://{'x' * 60}.example.com/{'y' * 60}#token={'t' * 43}"


def written(folder: Path, message: Message, **settings: str) -> EmailMessage:
    """Write a message and read it again as a mail program does."""
    with configured(folder, **settings):
        raw = to_mime(MAIL_ID, message).as_bytes()
    assert b"\n" not in raw.replace(b"\r\n", b"")
    return cast(EmailMessage, message_from_bytes(raw, policy=policy.SMTP))


def message(recipient: str = "ada@example.com", subject: str = "Hello", text: str = "Hello.\n") -> Message:
    return Message(recipient, subject, text, f"<p>{text}</p>\n")


def test_a_mail_is_text_and_html(tmp_path: Path) -> None:
    """Programs that show no HTML show the text, which comes first (RFC 2046, section 5.1.4)."""
    mail = written(tmp_path, message())
    assert [part.get_content_type() for part in mail.walk()] == ["multipart/alternative", "text/plain", "text/html"]
    assert mail["Date"].datetime.tzinfo is not None
    assert mail["Auto-Submitted"] == "auto-generated"


@pytest.mark.parametrize(
    "recipient",
    [
        "ada@example.com\r\nBcc: eve@example.com",
        "ada@example.com\nBcc: eve@example.com",
        "ada@example.com, eve@example.com",
        "ada@example.com eve@example.com",
        "eve@example.com <ada@example.com>",
        "ada@example.com> SIZE=1",
        "ada\x00@example.com",
        "=?utf-8?q?eve=40example.org=2C?=@example.com",
        "ada",
        "",
    ],
)
def test_a_recipient_that_is_not_exactly_one_address_is_refused(tmp_path: Path, recipient: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - what it says depends on the version of Python
        written(tmp_path, message(recipient))


def test_a_recipient_may_look_unusual(tmp_path: Path) -> None:
    recipient = "o'brien+{a|b}=c/d?e`f%g!h#$&*-@xn--bcher-kva.example"
    assert [each.addr_spec for each in written(tmp_path, message(recipient))["To"].addresses] == [recipient]


@pytest.mark.parametrize("subject", ["Hello\r\nBcc: eve@example.com", "Hello\nBcc: eve@example.com", "Hello\r\n\r\nBody"])
def test_a_subject_with_a_line_break_is_refused(tmp_path: Path, subject: str) -> None:
    with pytest.raises(ValueError, match="linefeed or carriage return"):
        written(tmp_path, message(subject=subject))


def test_a_long_link_stays_in_one_piece(tmp_path: Path) -> None:
    """In the raw mail too: a developer copies it from the file."""
    with configured(tmp_path):
        raw = to_mime(MAIL_ID, message(text=f"{LINK}\n")).as_bytes().decode("ascii")
    assert raw.count(LINK) == 2


@pytest.mark.parametrize("text", ["Grüße, Ζωή 🎉\n", f"{'long ' * 300}\n"])
def test_what_seven_bits_cannot_say_is_encoded(tmp_path: Path, text: str) -> None:
    """Servers need not know more than 7 bits, nor lines of more than 998 characters."""
    with configured(tmp_path):
        raw = to_mime(MAIL_ID, message(subject="Grüße", text=text)).as_bytes()
    assert max(map(len, raw.split(b"\r\n"))) <= 998
    assert raw.isascii()
    mail = written(tmp_path, message(subject="Grüße", text=text))
    assert mail["Subject"] == "Grüße"
    assert text_of(mail) == text


@pytest.mark.parametrize(
    ("mail_from", "name", "address"),
    [
        ("Keycard <keycard@example.com>", "Keycard", "keycard@example.com"),
        ("keycard@example.com", "", "keycard@example.com"),
        ("<keycard@example.com>", "", "keycard@example.com"),
        ('"Keycard, the service" <keycard@example.com>', "Keycard, the service", "keycard@example.com"),
        ("Key, card: (us) <keycard@example.com>", "Key, card: (us)", "keycard@example.com"),
        ("Schlüssel <keycard@example.com>", "Schlüssel", "keycard@example.com"),
    ],
)
def test_the_sender_is_the_one_of_the_settings(tmp_path: Path, mail_from: str, name: str, address: str) -> None:
    (sender,) = written(tmp_path, message(), mail_from=mail_from)["From"].addresses
    assert (sender.display_name, sender.addr_spec) == (name, address)


@pytest.mark.parametrize(
    ("public_url", "domain"),
    [
        ("https://auth.example.com", "auth.example.com"),
        ("https://auth.example.com:8443", "auth.example.com"),
        ("http://127.0.0.1:8000", "[127.0.0.1]"),
        ("http://[::1]:8000", "[IPv6:::1]"),
    ],
)
def test_the_message_id_is_the_same_for_the_same_mail(tmp_path: Path, public_url: str, domain: str) -> None:
    """It is made of the row and the public URL, so that every attempt, by whichever process, has the same."""
    assert {str(written(tmp_path, message(), public_url=public_url)["Message-ID"]) for _ in range(2)} == {f"<{MAIL_ID}@{domain}>"}
