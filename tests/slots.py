"""A hasher that has no core to spare."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from api.users.passwords import Hasher


@contextmanager
def every_slot_taken(hasher: Hasher) -> Iterator[None]:
    """Keep every thread of the hasher busy meanwhile; those who come wait, as long as there is room."""
    free = threading.Event()
    for _ in range(hasher._size):
        hasher._places.acquire()
        hasher._pool.submit(free.wait, 60)
    try:
        yield
    finally:
        free.set()
        for _ in range(hasher._size):
            hasher._places.release()
