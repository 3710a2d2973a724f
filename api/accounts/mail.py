"""What the mails say.

A composer is called when its mail is about to be sent, and decides then whether there is anybody to write to.
"""

from datetime import timedelta

from .. import clock, users
from ..config import settings
from ..outbox import Composer, Message, OutgoingEmail, enqueue, link, render, sent_since
from ..users import User, name_key
from . import one_time_tokens
from .models import RESET_PASSWORD, VERIFY_EMAIL

# However often somebody else asks: no more mails with a token than these leave for one person in an hour.
PER_HOUR = 5


def _write(template: str, recipient: str, **values: object) -> Message:
    subject, text, html = render(template, **values)
    return Message(recipient=recipient, subject=subject, text=text, html=html)


def _token(purpose: str, user: User, email: str, lifetime: int) -> str | None:
    """Make a token for a mail, or None when this person has been sent enough of them."""
    kinds = ("reset_password",) if purpose == RESET_PASSWORD else ("verify_email", "change_email")
    if _enough(user, *kinds):
        return None
    return one_time_tokens.create(purpose, user.id, email, lifetime=lifetime)


def _enough(user: User, *kinds: str) -> bool:
    return sent_since(user.id, clock.now() - timedelta(hours=1), *kinds) >= PER_HOUR


def _user(mail: OutgoingEmail) -> User | None:
    return users.lock(mail.user_id) if mail.user_id else None


def _prove(template: str, user: User, address: str) -> Message | None:
    """Ask for the proof of an address; where somebody else has given it already, tell that owner instead."""
    owner_id = users.find_by_proven_email(address)
    if owner_id and owner_id != user.id:
        enqueue("address_in_use", address, user_id=owner_id)
        return None
    lifetime = settings().verification_lifetime
    token = _token(VERIFY_EMAIL, user, address, lifetime)
    if token is None:
        return None
    url = link(settings().verify_email_url, token)
    # Without the username: whoever claims a stranger's address could write to them with it, www.example.com.
    return _write(template, address, link=url, token=token, hours=max(1, lifetime // 3600))


def verify_email(mail: OutgoingEmail) -> Message | None:
    """To an address that was claimed and not proven yet."""
    user = _user(mail)
    if user is None or user.email != mail.recipient or user.email_verified_at:
        return None
    return _prove("verify_email", user, mail.recipient)


def change_email(mail: OutgoingEmail) -> Message | None:
    """To the address that shall replace the present one."""
    user = _user(mail)
    if user is None or user.pending_email != mail.recipient:
        return None
    return _prove("change_email", user, mail.recipient)


def address_in_use(mail: OutgoingEmail) -> Message | None:
    """To whoever has proven an address, when somebody else claims it."""
    user = _user(mail)
    if user is None or not _has_proven(user, mail.recipient) or _enough(user, "address_in_use"):
        return None
    return _write("address_in_use", str(user.email), username=user.username)


def _has_proven(user: User, address: str) -> bool:
    return user.email_verified_at is not None and user.email_key == name_key(address)


def change_email_notice(mail: OutgoingEmail) -> Message | None:
    """To the present address, when somebody asks to replace it."""
    user = _user(mail)
    new = (user.pending_email or user.email) if user else None  # proven already, maybe, when this leaves late
    if user is None or not new or new == mail.recipient:
        return None
    return _write("change_email_notice", mail.recipient, username=user.username, new_address=_masked(new))


def reset_password(mail: OutgoingEmail) -> Message | None:
    """To the proven address of whoever forgot a password; never to the spelling that was typed."""
    user = _user(mail)
    if user is None or not user.email or not user.email_verified_at or user.email_key != name_key(mail.recipient):
        return None
    lifetime = settings().reset_lifetime
    token = _token(RESET_PASSWORD, user, user.email, lifetime)
    if token is None:
        return None
    url = link(settings().reset_password_url, token)
    return _write("reset_password", user.email, username=user.username, link=url, token=token, minutes=max(1, lifetime // 60))


def password_changed(mail: OutgoingEmail) -> Message | None:
    """To the proven address, after the password was changed or reset."""
    user = _user(mail)
    return _write("password_changed", mail.recipient, username=user.username) if user else None


def _masked(address: str) -> str:
    """Enough to recognise one's own address, too little to learn somebody else's."""
    local, _, domain = address.partition("@")
    return f"{local[0]}***@{domain}"


COMPOSERS: dict[str, Composer] = {
    each.__name__: each
    for each in (verify_email, address_in_use, change_email, change_email_notice, reset_password, password_changed)
}
