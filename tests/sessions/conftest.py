"""What another service sees of revocations."""

from collections.abc import Iterator

import pytest
import redis


@pytest.fixture
def mirror(redis_url: str) -> Iterator[redis.Redis]:
    """What another service reads."""
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        yield client
