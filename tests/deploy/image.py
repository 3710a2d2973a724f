"""The build stage of the Dockerfile, run on this machine: no engine is needed to try what it does."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "Dockerfile").read_text(encoding="utf-8")


def steps() -> list[tuple[str, str]]:
    """The instructions of the build stage: word and rest, on one line each."""
    stage = TEXT.split("FROM base AS build\n")[1].split("\nFROM ")[0]
    plain = re.sub(r"^#.*\n", "", stage, flags=re.MULTILINE).replace("\\\n", " ")
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in plain.splitlines() if line.strip())]


@dataclass
class Image:
    """What the stage makes, in a folder instead of `/`, by an environment instead of the image's own Python."""

    folder: Path

    @property
    def keycard(self) -> Path:
        return self.folder / "opt/keycard/bin/keycard"

    @property
    def python(self) -> Path:
        return self.keycard.with_name("python")

    @property
    def avx2(self) -> Path:
        return self.folder / "opt/keycard-avx2"

    def build(self) -> None:
        """Run every step but that of the distribution's packages, which are on this machine already."""
        subprocess.run([sys.executable, "-m", "venv", self.folder / "python"], check=True)
        (self.folder / "src").mkdir()
        environment = {**os.environ, "PATH": f"{self.folder}/python/bin{os.pathsep}{os.environ['PATH']}"}
        for word, rest in steps():
            if word == "ENV":
                environment |= dict(pair.split("=", 1) for pair in rest.split())
            elif word == "COPY":
                self._copy(*rest.split())
            elif word == "RUN" and "apt-get" not in rest:
                self._run(rest.replace("/opt/", f"{self.folder}/opt/"), environment)

    def _copy(self, *words: str) -> None:
        *sources, target = words
        for source in sources:
            there = self.folder / "src" / target / (Path(source).name if target.endswith("/") else "")
            there.parent.mkdir(parents=True, exist_ok=True)
            (shutil.copytree if (ROOT / source).is_dir() else shutil.copy2)(ROOT / source, there)

    def _run(self, command: str, environment: dict[str, str]) -> None:
        done = subprocess.run(
            ["sh", "-c", command], cwd=self.folder / "src", env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
