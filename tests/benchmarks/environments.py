"""Virtual environments for the targets: only what each needs is installed. Made once, and anew when the requirements change."""

import hashlib
import subprocess
import sys
import venv
from pathlib import Path

from .targets import HERE, OURS, ROOT


def python_for(requirements: str, folder: Path) -> Path:
    """The interpreter for a target; its environment is made below the folder if need be."""
    ours = requirements == OURS
    file = ROOT / "pyproject.toml" if ours else HERE / "baselines" / requirements / "requirements.txt"
    what: list[str | Path] = ["--editable", ROOT] if ours else ["--no-deps", "-r", file]
    wanted = hashlib.sha256(file.read_bytes() + sys.version.encode()).hexdigest()
    place = folder / requirements
    stamp, python = place / "stamp", place / "bin" / "python"
    if not (stamp.exists() and stamp.read_text() == wanted):
        print(f"Installing {requirements}, once…", flush=True)  # noqa: T201 - it takes a while
        venv.create(place, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *what], check=True)
        stamp.write_text(wanted)
    return python
