"""A hasher that has no core to spare."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from api.users import passwords
from api.users.passwords import Hasher


@contextmanager
def every_slot_taken(hasher: Hasher, *, patience: float = passwords.QUEUE_SECONDS) -> Iterator[None]:
    """Keep every thread of the hasher busy meanwhile; those who come wait so many seconds, as long as there is room.

    Before and after, people wait as usual: a thread that gives way to others may take a moment to begin.
    """
    free, usual = threading.Event(), passwords.QUEUE_SECONDS
    passwords.QUEUE_SECONDS = patience
    for _ in range(hasher._size):
        hasher._places.take()
        hasher._pool.submit(free.wait, 60)
    try:
        yield
    finally:
        free.set()
        passwords.QUEUE_SECONDS = usual
        for _ in range(hasher._size):
            hasher._places.give_back()
