"""What the mails say.

A composer is called when its mail is about to be sent, and decides then whether there is anybody to write to.
"""

from datetime import timedelta
from functools import partial

from .. import access, clock, users
from ..config import settings
from ..docs import RESET_PAGE, UNDO_PAGE, VERIFY_PAGE
from ..outbox import Composer, Message, OutgoingEmail, enqueue, is_dropped, link, render, sent_about, sent_to_mailbox
from ..users import User, name_key
from . import one_time_tokens
from .models import CHANGE_EMAIL, RESET_PASSWORD, UNDO_EMAIL, VERIFY_EMAIL

# Mails that a stranger can cause: no more than these leave in an hour for one mailbox, and about one account.
PER_HOUR = 5
# How long the old mailbox can undo a change of address.
UNDO_SECONDS = 7 * 86_400
# What happened to an account, and what to do if it was not its owner: the mails that ask for nothing.
NOTICES = {
    "password_changed": (
        "Your password was changed",
        "The password of your account {username} was changed.",
        "reset the password now, with this address. Everybody who is signed in is then signed out.",
    ),
    "sign_ins_failed": (
        "Many sign-ins to your account have failed",
        "Somebody is guessing the password of your account {username}. Until that ends, sign-ins from new networks are refused.",
        "there is little to do: a long password that you use nowhere else cannot be guessed. Resetting it lets you in again.",
    ),
    "sessions_ended": (
        "You were signed out everywhere",
        "An administrator has ended every session of your account {username}. Sign in again to go on.",
        "tell the administrator of this service.",
    ),
    "roles_changed": (
        "Your roles have changed",
        "An administrator has changed the roles of your account {username}. It now has: {roles}.",
        "tell the administrator of this service.",
    ),
    "address_changed": (
        "Your e-mail address was changed",
        "An administrator has changed the e-mail address of your account {username}. This address no longer belongs to it.",
        "tell the administrator of this service.",
    ),
    "account_deleted": (
        "Your account was deleted",
        "The account with this address was deleted, with its profile, its sessions and its roles.",
        "tell the administrator of this service at once.",
    ),
}


def _write(template: str, recipient: str, **values: object) -> Message:
    subject, text, html = render(template, **values)
    return Message(recipient=recipient, subject=subject, text=text, html=html)


def _user(mail: OutgoingEmail) -> User | None:
    """Lock the user whom a mail is about; None if there is nobody, or the mail was withdrawn meanwhile."""
    user = users.lock(mail.user_id) if mail.user_id else None
    return None if user is None or is_dropped(mail) else user


def _enough(user: User, recipient: str, *kinds: str) -> bool:
    """Whether so many of these mails have left lately, for this mailbox or about this user, that no more may."""
    since = clock.now() - timedelta(hours=1)
    return max(sent_to_mailbox(recipient, since, *kinds), sent_about(user.id, since, *kinds)) >= PER_HOUR


def unlinkable(name: str) -> str:
    """A name as a stranger may read it. Mail programs make a link of www.example.com, so its dots are written `[.]`."""
    return name.replace(".", "[.]")


def _verify(template: str, purpose: str, user: User, mail: OutgoingEmail) -> Message | None:
    """Ask for the verification of an address; where somebody else has verified it already, tell that owner instead."""
    address = mail.recipient
    owner_id = users.find_by_proven_email(address)
    if owner_id and owner_id != user.id:
        enqueue("address_in_use", address, user_id=owner_id)
        return None
    if _enough(user, address, "verify_email", "change_email"):
        return None
    lifetime = settings().verification_lifetime
    token = one_time_tokens.create(purpose, user, mail, address, lifetime=lifetime)
    url = link(settings().verify_email_url, VERIFY_PAGE, token)
    hours = max(1, lifetime // 3600)
    return _write(template, address, username=unlinkable(user.username), link=url, token=token, hours=hours)


def verify_email(mail: OutgoingEmail) -> Message | None:
    """To an address that was given and is not verified yet."""
    user = _user(mail)
    if user is None or user.email != mail.recipient or user.email_verified_at:
        return None
    return _verify("verify_email", VERIFY_EMAIL, user, mail)


def change_email(mail: OutgoingEmail) -> Message | None:
    """To the address that is to replace the present one."""
    user = _user(mail)
    if user is None or user.pending_email != mail.recipient:
        return None
    return _verify("change_email", CHANGE_EMAIL, user, mail)


def address_in_use(mail: OutgoingEmail) -> Message | None:
    """To the owner of an address, when somebody else gives it."""
    user = _user(mail)
    if user is None or not _has_verified(user, mail.recipient) or _enough(user, mail.recipient, "address_in_use"):
        return None
    return _write("address_in_use", str(user.email), username=user.username)


def _has_verified(user: User, address: str) -> bool:
    return user.email_verified_at is not None and user.email_key == name_key(address)


def change_email_notice(mail: OutgoingEmail) -> Message | None:
    """To the present address, when somebody asks to replace it."""
    user = _user(mail)
    new = (user.pending_email or user.email) if user else None  # verified already, maybe, when this leaves late
    if user is None or not new or new == mail.recipient:
        return None
    token = one_time_tokens.create(UNDO_EMAIL, user, mail, mail.recipient, lifetime=UNDO_SECONDS)
    url = link(None, UNDO_PAGE, token)
    values = {"new_address": _masked(new), "link": url, "token": token, "days": UNDO_SECONDS // 86_400}
    return _write("change_email_notice", mail.recipient, username=user.username, **values)


def reset_password(mail: OutgoingEmail) -> Message | None:
    """To the verified address of somebody who forgot a password; never to the spelling that was typed."""
    user = _user(mail)
    if user is None or not user.email or not user.email_verified_at or user.email_key != name_key(mail.recipient):
        return None
    if _enough(user, user.email, "reset_password"):
        return None
    lifetime = settings().reset_lifetime
    token = one_time_tokens.create(RESET_PASSWORD, user, mail, user.email, lifetime=lifetime)
    url = link(settings().reset_password_url, RESET_PAGE, token)
    return _write("reset_password", user.email, username=user.username, link=url, token=token, minutes=max(1, lifetime // 60))


def _notice(kind: str, mail: OutgoingEmail) -> Message | None:
    """To a verified address, or the one that was verified before: what has happened, and what to do."""
    user = _user(mail)
    if user is None and kind != "account_deleted":
        return None
    subject, what, advice = NOTICES[kind]
    values = {"username": user.username, "roles": " ".join(sorted(access.roles_of(user.id)))} if user else {}
    return _write("notice", mail.recipient, subject=subject, what=what.format(**values), advice=advice)


def _masked(address: str) -> str:
    """Enough to recognise one's own address, too little to learn somebody else's."""
    local, _, domain = address.partition("@")
    return f"{local[0]}***@{domain}"


COMPOSERS: dict[str, Composer] = {
    "verify_email": verify_email,
    "address_in_use": address_in_use,
    "change_email": change_email,
    "change_email_notice": change_email_notice,
    "reset_password": reset_password,
    **{kind: partial(_notice, kind) for kind in NOTICES},
}
