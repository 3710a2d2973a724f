"""The demo accounts, by name: one click on the page signs in as one of them, in development and at this machine only.

Their password is made up by each instance and kept in its folder. `accounts.demo` makes the accounts; where the file is
missing, in production, and to callers from elsewhere, the page offers none, and nothing of theirs works.
"""

import os
import secrets
import uuid
from dataclasses import dataclass

from flask import has_request_context

from ..config import Settings, settings
from ..http.device import is_this_machine

FILE = "demo-password"


@dataclass(frozen=True)
class DemoAccount:
    """Somebody to try the API as."""

    username: str
    label: str
    administers: bool

    @property
    def id(self) -> uuid.UUID:
        """The same in every instance, and no id that registration could give: so a demo account is known for one anywhere."""
        return uuid.uuid5(uuid.NAMESPACE_URL, f"https://keycard.invalid/demo/{self.username}")


ACCOUNTS = (
    DemoAccount("demo", "Sign in as demo user", administers=False),
    DemoAccount("demo-admin", "Sign in as demo admin", administers=True),
)


IDS = frozenset(account.id for account in ACCOUNTS)


def is_withheld(user_id: uuid.UUID) -> bool:
    """Say whether this is a demo account and who calls may not have it: then it is as if it did not exist.

    Asked wherever an account is found, so that it holds under every server. The command line may have all.
    """
    return user_id in IDS and has_request_context() and not are_offered()


def are_offered() -> bool:
    """Say whether the caller of this request is at this machine, and nobody else is meant to use this deployment."""
    return settings().reachable_only_from_here and is_this_machine()


def password(settings: Settings) -> str | None:
    """The password of the demo accounts; None in production, without the page, and before there are accounts."""
    file = settings.instance / FILE
    if settings.production or not settings.docs_enabled or not file.is_file():
        return None
    return file.read_text(encoding="utf-8").strip() or None


def make_password(settings: Settings) -> str:
    """Return the password, made up and kept now if there is none yet."""
    known = password(settings)
    if known:
        return known
    made = f"Demo-1-{secrets.token_urlsafe(18)}"
    settings.instance.mkdir(parents=True, exist_ok=True)
    file = settings.instance / FILE
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as opened:
        opened.write(made)
    return made


def forget_password(settings: Settings) -> None:
    """From now on the page offers no demo account."""
    (settings.instance / FILE).unlink(missing_ok=True)
