"""Keycard: an OpenAPI-first authentication API on Flask.

`create_app` is the only name most programs need. It is imported late, so that using one feature
(`import api.clock`) does not load them all.
"""

from typing import TYPE_CHECKING, Any

from .version import __version__

if TYPE_CHECKING:
    from .app import create_app

__all__ = ["__version__", "create_app"]


def __getattr__(name: str) -> Any:
    if name == "create_app":
        from .app import create_app

        return create_app
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
