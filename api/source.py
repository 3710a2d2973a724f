"""Where Keycard's own code lies, and in whose code an error happened.

A path does not say it: an installed Keycard lies among the libraries.
"""

import site
import sysconfig
import traceback
from pathlib import Path
from typing import NamedTuple

PACKAGE = Path(__file__).parent
# The longest first: site-packages may lie in the folder of the standard library.
LIBRARIES = sorted(
    {
        *(Path(sysconfig.get_path(name)) for name in ("purelib", "platlib", "stdlib", "platstdlib")),
        *(Path(folder) for folder in (*site.getsitepackages(), site.getusersitepackages())),
    },
    key=lambda folder: -len(folder.parts),
)


class Frame(NamedTuple):
    """A step on the way to an error."""

    place: str  # file and line, like api/outbox/delivery.py:66
    function: str
    is_ours: bool  # Keycard's code or the operator's, not a library's


def checkout() -> Path | None:
    """The checkout that this code runs from; None for an installed package, into which nothing is written."""
    folder = PACKAGE.parent
    return folder if (folder / "pyproject.toml").is_file() else None


def frames(error: BaseException) -> list[Frame]:
    """The way to an error, outermost first. Empty for an error that was never raised."""
    return [_frame(each) for each in traceback.extract_tb(error.__traceback__)]


def _frame(found: traceback.FrameSummary) -> Frame:
    file = Path(found.filename)
    is_keycards = file.is_relative_to(PACKAGE)
    library = next((folder for folder in LIBRARIES if file.is_relative_to(folder)), None)
    base = PACKAGE.parent if is_keycards else library
    place = file.relative_to(base) if base else Path(*file.parts[-3:])
    is_generated = found.filename.startswith("<")  # like <frozen runpy>
    return Frame(f"{place}:{found.lineno}", found.name, is_keycards or not (library or is_generated))
