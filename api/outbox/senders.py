"""How mail leaves: to an SMTP server, or in development into a folder."""

import contextlib
import logging
import re
import smtplib
import ssl
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ..config import settings
from .message import Message, mail_domain, sender_address, to_mime

logger = logging.getLogger("keycard")

# Takes the id of the mail, from which its Message-ID is made. Returns once somebody else is responsible, and raises otherwise.
Sender = Callable[[uuid.UUID, Message], None]


def configured_sender() -> Sender:
    """The sender that the settings choose."""
    url = settings().smtp_url
    return SmtpSender(url) if url else FolderSender(settings().instance / "outbox")


@dataclass(frozen=True)
class SmtpSender:
    """Hand mail to the server at smtp://user:password@host:587 (STARTTLS) or smtps://user:password@host:465 (TLS).

    Nothing is said to a server without TLS, unless it is on this machine; where there is TLS, the certificate must be good.
    timeout: for each step of the conversation, seconds.
    """

    url: str = field(repr=False)
    timeout: float = 10.0

    def __call__(self, mail_id: uuid.UUID, message: Message) -> None:
        """Send one mail. Raises OSError, of which smtplib's errors are kinds."""
        mail = to_mime(mail_id, message).as_bytes()
        with contextlib.closing(self._connect()) as server:
            self._authenticate(server)
            server.sendmail(sender_address().addr_spec, [message.recipient], mail)
            with contextlib.suppress(smtplib.SMTPException):
                server.quit()  # the mail is theirs already, however they part

    def _connect(self) -> smtplib.SMTP:
        parts = urlsplit(self.url)
        host, trust = str(parts.hostname), ssl.create_default_context()
        # The name is given because the library would ask the DNS for it, which has no timeout.
        if parts.scheme == "smtps":
            return smtplib.SMTP_SSL(host, parts.port or 465, mail_domain(), timeout=self.timeout, context=trust)
        server = smtplib.SMTP(host, parts.port or 587, mail_domain(), timeout=self.timeout)
        try:
            server.ehlo_or_helo_if_needed()
            if server.has_extn("starttls") or not _is_here(host):
                server.starttls(context=trust)
        except BaseException:
            server.close()
            raise
        return server

    def _authenticate(self, server: smtplib.SMTP) -> None:
        parts = urlsplit(self.url)
        if parts.username:
            server.login(unquote(parts.username), unquote(parts.password or ""))


def _is_here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@dataclass(frozen=True)
class FolderSender:
    """Write mail into files that only their owner can read, and say so in the log, with the link: for development."""

    folder: Path

    def __call__(self, mail_id: uuid.UUID, message: Message) -> None:
        """Write `<mail_id>.eml`, all of it or nothing; a second attempt takes the place of the first."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file, unfinished = self.folder / f"{mail_id}.eml", self.folder / f".{mail_id}"
        unfinished.touch(mode=0o600)
        unfinished.write_bytes(to_mime(mail_id, message).as_bytes())
        unfinished.replace(file)
        found = re.search(r"https?://\S+#token=\S+", message.text)
        logger.warning("mail not sent but written to %s: %s%s", file, message.subject, f"  {found[0]}" if found else "")
