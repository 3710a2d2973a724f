"""The HTTP kernel: what every endpoint is made of.

`Blueprint` takes one declaration per operation (security, limits, problems, headers) that is both enforced and
documented. Everything a feature, or an endpoint of your own, needs is named here.
"""

from .blueprint import Blueprint
from .guards import (
    Security,
    access_token,
    fresh_access_token,
    optional_access_token,
    public,
    refresh_token,
    role,
    session_token,
)
from .links import link
from .pagination import Page, PageQuery, page_of
from .schemas import Schema, Text

__all__ = [
    "Blueprint",
    "Page",
    "PageQuery",
    "Schema",
    "Security",
    "Text",
    "access_token",
    "fresh_access_token",
    "link",
    "optional_access_token",
    "page_of",
    "public",
    "refresh_token",
    "role",
    "session_token",
]
