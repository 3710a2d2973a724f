"""Administration of users, for callers who hold the role `admin`, and for the command line."""

from .users import find_by_username, set_roles

__all__ = ["find_by_username", "set_roles"]
