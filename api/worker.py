"""What each process of `keycard serve` loads."""

import sys

from flask import Flask

from .app import create_app
from .signals import wake_for_signals

# Each thread that waits for Python's lock wakes up after so long, to ask for it; a request is over sooner, or waits for the
# database. With the usual 5 ms sixteen threads wake each other 3,000 times a second.
SWITCH_SECONDS = 0.05


def create_worker() -> Flask:
    """The app, in a process of its own."""
    sys.setswitchinterval(SWITCH_SECONDS)
    wake_for_signals()
    return create_app()
