"""Virtual environments for baselines whose requirements contradict ours; made once, and anew when the requirements change."""

import hashlib
import subprocess
import sys
import venv
from pathlib import Path

from .targets import HERE


def python_for(requirements: str | None, folder: Path) -> Path:
    """The interpreter for a target; its environment is made below the folder if need be."""
    if requirements is None:
        return Path(sys.executable)
    file = HERE / "baselines" / requirements / "requirements.txt"
    wanted = hashlib.sha256(file.read_bytes() + sys.version.encode()).hexdigest()
    place = folder / requirements
    stamp, python = place / "stamp", place / "bin" / "python"
    if not (stamp.exists() and stamp.read_text() == wanted):
        print(f"Installing {requirements}, once…", flush=True)  # noqa: T201 - it takes a while
        venv.create(place, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-deps", "-r", file], check=True)
        stamp.write_text(wanted)
    return python
