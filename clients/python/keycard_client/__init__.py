"""Keycard for Python: every operation as a method, tokens that renew themselves, problems as exceptions."""

from .answers import headers_of
from .client import AsyncKeycard, Keycard
from .generated import models, slugs
from .generated.types import UNSET
from .problems import Problem
from .tokens import MemoryStorage, Tokens, TokenStorage

__all__ = [
    "UNSET",
    "AsyncKeycard",
    "Keycard",
    "MemoryStorage",
    "Problem",
    "TokenStorage",
    "Tokens",
    "headers_of",
    "models",
    "slugs",
]
