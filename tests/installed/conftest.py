"""What only an installed package shows: `tox run -e wheel`."""

from pathlib import Path

import pytest

import api
from tests.conftest import IN_CI

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture(scope="session", autouse=True)
def installed() -> None:
    """`api` comes from an environment, not from the checkout that these tests come from."""
    if Path(api.__file__).parent == CHECKOUT / "api":
        (pytest.fail if IN_CI else pytest.skip)("Keycard is not installed as a package here: tox run -e wheel")
