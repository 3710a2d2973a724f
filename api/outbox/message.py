"""What a mail reads, and how it is written on the wire."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from ipaddress import ip_address
from urllib.parse import urlsplit

from .. import clock
from ..config import settings
from .models import OutgoingEmail


@dataclass(frozen=True)
class Message:
    """A mail as somebody will read it."""

    recipient: str
    subject: str
    text: str
    html: str


# Writes a mail when it is about to be sent, in a transaction that is committed before. None: there is nobody to write to.
Composer = Callable[[OutgoingEmail], Message | None]


def to_mime(mail_id: uuid.UUID, message: Message) -> EmailMessage:
    """Write a message as MIME, with the same Message-ID whenever it is the same mail.

    Raises ValueError for a recipient that is not exactly one address, and for a subject of several lines.
    """
    mail = EmailMessage(policy=SMTP)
    mail["From"] = sender_address()
    mail["To"] = _address(message.recipient)
    mail["Subject"] = message.subject
    mail["Date"] = format_datetime(clock.now())
    mail["Message-ID"] = f"<{mail_id}@{mail_domain()}>"
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834, section 5: no holiday notice is sent back
    mail.set_content(message.text, cte=_encoding(message.text))
    mail.add_alternative(message.html, subtype="html", cte=_encoding(message.html))
    return mail


def _address(text: str) -> Address:
    try:
        return Address(addr_spec=text)
    except (IndexError, MessageError):  # which of these, or ValueError, depends on the fault and on the version of Python
        raise ValueError("not an address") from None


def _encoding(text: str) -> str:
    """Leave plain ASCII as it is, so that a long link stays in one piece; encode the rest for servers that know 7 bits."""
    plain = text.isascii() and max(map(len, text.splitlines()), default=0) <= 998  # RFC 5322, section 2.1.1
    return "7bit" if plain else "quoted-printable"


def sender_address() -> Address:
    """The sender of every mail, from the settings; whatever the name holds, it is quoted."""
    name, found, address = settings().mail_from.rpartition("<")
    return Address(display_name=name.strip().strip('"'), addr_spec=address.rstrip(">")) if found else Address(addr_spec=address)


def mail_domain() -> str:
    """The host of the public URL, as mail writes it: an address is a literal in brackets (RFC 5321, section 4.1.3)."""
    host = urlsplit(settings().public_url).hostname or "localhost"
    try:
        version = ip_address(host).version
    except ValueError:
        return host
    return f"[IPv6:{host}]" if version == 6 else f"[{host}]"
