"""A real SMTP server that does as it is told: takes mail, refuses it, stalls, or breaks off, at a step that a test chooses."""

import asyncio
import queue
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any, cast

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.processes.servers import free_port

# In the order in which a mail passes them. DATA: all of it was read. ACCEPTED: the server has it. QUIT: and the client was told.
STEPS = ("EHLO", "MAIL", "RCPT", "DATA", "ACCEPTED", "QUIT")
PATIENCE_SECONDS = 60.0


@dataclass(frozen=True)
class Delivery:
    """A mail that the server has taken, with its envelope."""

    sender: str
    recipients: list[str]
    raw: bytes
    encrypted: bool

    @property
    def mail(self) -> EmailMessage:
        return cast(EmailMessage, message_from_bytes(self.raw, policy=policy.SMTP))

    @property
    def message_id(self) -> str:
        return str(self.mail["Message-ID"])


class MailServer:
    """An SMTP server on 127.0.0.1. Use `running()`.

    taken: the mail that it has. stalls, breaks: the steps at which it says nothing more, or hangs up. refusals: what it says
    instead of yes, by step or by recipient.
    """

    def __init__(self, *, account: tuple[str, str] | None = None) -> None:
        self.account = account
        self.port = free_port()
        self.taken: list[Delivery] = []
        self.stalls: set[str] = set()
        self.breaks: set[str] = set()
        self.refusals: dict[str, str] = {}
        self._stalled: queue.Queue[tuple[str, SMTP, asyncio.Event]] = queue.Queue()
        self._waiting: tuple[SMTP, asyncio.Event] | None = None

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"

    def reset(self) -> None:
        """Be a server again that takes everything and has nothing yet."""
        for each in (self.taken, self.stalls, self.breaks, self.refusals):
            each.clear()
        self._stalled = queue.Queue()

    def wait_for(self, step: str) -> None:
        """Wait until a client is held up at a step."""
        reached, server, told = self._stalled.get(timeout=PATIENCE_SECONDS)
        assert reached == step
        self._waiting = (server, told)

    def go_on(self) -> None:
        """Answer the client that was waited for."""
        assert self._waiting
        server, told = self._waiting
        server.loop.call_soon_threadsafe(told.set)

    def hang_up(self) -> None:
        """Leave the client that was waited for without an answer."""
        assert self._waiting
        server, _ = self._waiting
        server.loop.call_soon_threadsafe(_abort, server)

    @contextmanager
    def running(
        self, *, tls: ssl.SSLContext | None = None, implicit_tls: ssl.SSLContext | None = None, authenticate: bool = False
    ) -> Iterator["MailServer"]:
        """Serve while the block runs. tls: for STARTTLS. authenticate: take mail only from the account, and only over TLS."""
        controller = Controller(
            self, hostname="127.0.0.1", port=self.port, server_hostname="mail.example.test", tls_context=tls,
            require_starttls=bool(tls), ssl_context=implicit_tls, auth_required=authenticate, authenticator=self._check,
        )  # fmt: skip
        controller.start()
        try:
            yield self
        finally:
            controller.stop()

    def _check(self, _server: SMTP, _session: Session, _envelope: Envelope, mechanism: str, given: Any) -> AuthResult:
        expected = LoginPassword(*(each.encode() for each in self.account)) if self.account else None
        return AuthResult(success=expected is not None and given == expected, handled=False)

    async def _at(self, step: str, server: SMTP, yes: str, *, about: str = "") -> str:
        if step in self.stalls:
            told = asyncio.Event()
            self._stalled.put((step, server, told))
            await told.wait()
        if step in self.breaks:
            _abort(server)
        return self.refusals.get(about, self.refusals.get(step, yes))

    # The names are the library's.
    async def handle_EHLO(  # noqa: N802
        self, server: SMTP, session: Session, _envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        await self._at("EHLO", server, "")
        return responses

    async def handle_MAIL(  # noqa: N802
        self, server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        answer = await self._at("MAIL", server, "250 OK")
        envelope.mail_from = address
        return answer

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        answer = await self._at("RCPT", server, "250 OK", about=address)
        if answer.startswith("2"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        answer = await self._at("DATA", server, "250 OK")
        if answer.startswith("2") and "DATA" not in self.breaks:
            raw = cast(bytes, envelope.content)
            self.taken.append(Delivery(str(envelope.mail_from), list(envelope.rcpt_tos), raw, session.ssl is not None))
        return await self._at("ACCEPTED", server, answer)

    async def handle_QUIT(self, server: SMTP, _session: Session, _envelope: Envelope) -> str:  # noqa: N802
        return await self._at("QUIT", server, "221 Bye")


def _abort(server: SMTP) -> None:
    if server.transport:
        cast(asyncio.Transport, server.transport).abort()
