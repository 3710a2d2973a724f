"""Accounts: what people do with their own one: registration, profile, password, address, recovery, deletion.

Owns the table `one_time_tokens`, and what the mails about accounts say. Built from `users`, `access` and `sessions`.
"""

from .models import OneTimeToken
from .recovery import revoke as revoke_everything
from .registration import register

__all__ = ["OneTimeToken", "register", "revoke_everything"]
