"""Docs: the page at /docs. Swagger UI from the package's own files, under a strict Content-Security-Policy."""

from .pages import init_app

__all__ = ["init_app"]
