"""The outbox: mail that is asked for in a transaction and delivered by a worker, at least once, with one Message-ID.

Owns the table `outgoing_emails`, the senders and the templates. What a mail says is decided by the feature that asked for it:
the worker is given a composer for each kind.
"""

from .delivery import deliver_due
from .message import Composer, Message
from .models import OutgoingEmail
from .purge import purge_mail
from .queue import drop, drop_all, enqueue, enqueueing, is_dropped, mail, sent_about, sent_to_mailbox, waiting
from .templating import link, render
from .worker import run_worker, worker

__all__ = [
    "Composer",
    "Message",
    "OutgoingEmail",
    "deliver_due",
    "drop",
    "drop_all",
    "enqueue",
    "enqueueing",
    "is_dropped",
    "link",
    "mail",
    "purge_mail",
    "render",
    "run_worker",
    "sent_about",
    "sent_to_mailbox",
    "waiting",
    "worker",
]
