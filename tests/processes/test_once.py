"""What may be used once is used once, however many use it at the same moment; `python -m tests.once` does more of this."""

from collections.abc import Callable, Iterator

import pytest

from api.accounts import models
from tests.conftest import Stores
from tests.once import STORES, THINGS, Scene, cell, scene_on, successes, table

ROUNDS = 3


@pytest.fixture(scope="module")
def scene(new_stores: Callable[[], Stores], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with scene_on(new_stores(), tmp_path_factory.mktemp("once")) as made:
        yield made


@pytest.mark.parametrize("thing", THINGS)
def test_of_twelve_simultaneous_uses_one_succeeds(scene: Scene, thing: str) -> None:
    """Over two servers; the others are refused, and none breaks."""
    assert successes(scene, thing, ROUNDS) == [1] * ROUNDS


def test_every_purpose_of_a_mailed_token_is_tried() -> None:
    """A new purpose is a new constant, and its value is one word in lower case."""
    purposes = {value for name, value in vars(models).items() if name.isupper() and isinstance(value, str)}
    assert {f"mailed token `{each}`" for each in purposes} <= set(THINGS)
    assert len(purposes) == 4


def test_a_second_success_would_be_seen() -> None:
    """The table tells the rounds in which exactly one succeeded."""
    assert cell([1, 1, 2, 0]) == "1 of 12, 2 of 4 rounds"
    shown = table({"a thing": {store: [1, 2] for store in STORES}}).splitlines()
    assert shown[-1] == "| a thing | 1 of 12, 1 of 2 rounds | 1 of 12, 1 of 2 rounds |"
