"""Usernames that nobody can register: who has one is taken for the service, or for whoever runs it."""

import re

from ..config import Settings
from .models import name_key

# The mailboxes of RFC 2142, the accounts of operating systems, and what programs and people take for something else than a name.
NAMES = frozenset((
    "abuse", "admin", "administrator", "anonymous", "api", "auth", "billing", "contact", "demo", "demoadmin", "everyone",
    "guest", "help", "helpdesk", "hostmaster", "info", "keycard", "mailerdaemon", "me", "moderator", "nobody", "noc",
    "noreply", "null", "operator", "owner", "postmaster", "root", "sales", "security", "self", "service", "staff", "superuser",
    "support", "sysadmin", "system", "undefined", "user", "webmaster",
))  # fmt: skip


def is_reserved(username: str, settings: Settings) -> bool:
    """Say whether a name is reserved, by us or by a setting, however it is capitalised and punctuated."""
    return _bare(username) in NAMES or _bare(username) in map(_bare, settings.reserved_usernames)


def _bare(name: str) -> str:
    return re.sub(r"[._-]", "", name_key(name))
