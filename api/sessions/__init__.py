"""Sessions: signing in, rotating tokens, signing out, and whether a token still counts.

Owns the table `sessions`. A session is a refresh family: the one row that is changed by every rotation. Others may ask
who is calling (`current`), list sessions, and end them.
"""

from .ending import end, end_all, end_everything, forget_devices, publish_epoch
from .listing import list_live
from .models import SESSION_ENDS, Session
from .principal import Acting, Principal, SessionView, current
from .schemas import SessionPageSchema, SessionSchema

__all__ = [
    "SESSION_ENDS",
    "Acting",
    "Principal",
    "Session",
    "SessionPageSchema",
    "SessionSchema",
    "SessionView",
    "current",
    "end",
    "end_all",
    "end_everything",
    "forget_devices",
    "list_live",
    "publish_epoch",
]
