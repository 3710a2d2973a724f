"""The one seam for time."""

from datetime import UTC, datetime


def now() -> datetime:
    """Return the current time, in UTC, with microseconds."""
    return datetime.now(UTC)
