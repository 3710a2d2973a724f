"""Accounts: what a person does with their own one. Registration, profile, password.

Owns no table: it is built from `users`, `access` and `sessions`. Mail-borne stories (verification, reset, change of address)
and deletion will live here, each in a module of its own.
"""

from .models import OneTimeToken
from .registration import register

__all__ = ["OneTimeToken", "register"]
