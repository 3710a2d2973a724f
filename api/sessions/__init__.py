"""Sessions: signing in, rotating tokens, signing out, and whether a token still counts.

Owns the table `sessions`. A session is a refresh family: the one row that is changed by every rotation. Others may ask
who is calling (`current`), list sessions, and end them.
"""

from .cookies import deliver
from .ending import end, end_all, forget_devices, publish_epoch
from .listing import list_live
from .login import check_password
from .models import SESSION_ENDS, Session
from .principal import Acting, Principal, SessionView, current, current_or_none
from .renewal import renew
from .schemas import SessionPageSchema, SessionSchema, TokenPairSchema
from .tokens import TokenPair

__all__ = [
    "SESSION_ENDS",
    "Acting",
    "Principal",
    "Session",
    "SessionPageSchema",
    "SessionSchema",
    "SessionView",
    "TokenPair",
    "TokenPairSchema",
    "check_password",
    "current",
    "current_or_none",
    "deliver",
    "end",
    "end_all",
    "forget_devices",
    "list_live",
    "publish_epoch",
    "renew",
]
