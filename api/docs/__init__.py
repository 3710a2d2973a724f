"""Docs: the page at /docs, which is Swagger UI from the package's own files, and the pages behind mailed links.

All of them are under a strict Content-Security-Policy.
"""

from .mailed import RESET_PAGE, UNDO_PAGE, VERIFY_PAGE
from .pages import init_app

__all__ = ["RESET_PAGE", "UNDO_PAGE", "VERIFY_PAGE", "init_app"]
