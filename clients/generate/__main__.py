"""Make the clients from the document.

python -m clients.generate                         write the generated part of every SDK
python -m clients.generate --check                 fail where what is committed is not what would be written
python -m clients.generate --language ruby FOLDER  any other language that openapi-generator knows
"""

import argparse
import filecmp
import shutil
import sys
import tempfile
from pathlib import Path

from . import go, other, python, typescript
from .common import CLIENTS, MENDED_BY

# Where each writes, below clients/. Everything in there is generated, and nothing else is.
GENERATED = {python.write: python.FOLDER, typescript.write: typescript.FOLDER, go.write: go.FOLDER}


def main() -> int:
    """Return 0 when the generated parts are current."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--language", nargs=2, metavar=("LANGUAGE", "FOLDER"))
    options = parser.parse_args()
    if options.language:
        language, folder = options.language
        other.write(language, Path(folder))
        return 0
    with tempfile.TemporaryDirectory() as root:
        for write, folder in GENERATED.items():
            write(Path(root) / folder)
        differing = [each for folder in GENERATED.values() for each in differences(Path(root) / folder, CLIENTS / folder)]
        if options.check:
            print("\n".join([*differing, f"Fix: {MENDED_BY}, and commit the difference"] if differing else ["current"]))
            return 1 if differing else 0
        for folder in GENERATED.values():
            shutil.rmtree(CLIENTS / folder, ignore_errors=True)
            shutil.copytree(Path(root) / folder, CLIENTS / folder)
    return 0


def differences(made: Path, committed: Path) -> list[str]:
    """The files that are missing, too many, or not the same bytes."""
    names = {each.relative_to(root) for root in (made, committed) for each in root.rglob("*") if each.is_file()}
    _, differing, missing = filecmp.cmpfiles(
        made, committed, sorted(str(name) for name in names if "__pycache__" not in name.parts), shallow=False
    )
    return [f"not current: {(committed / name).relative_to(CLIENTS.parent)}" for name in (*differing, *missing)]


if __name__ == "__main__":
    sys.exit(main())
