"""The lock files say what the image is made of: each version within its range, each file with its hash."""

import csv
import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.deploy.image import ROOT, TEXT

RUNNING, BUILDING = ROOT / "requirements.lock", ROOT / "deploy" / "build.lock"
DECLARED = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
[PYTHON] = re.findall(r"^FROM python:((\d+\.\d+)\.\d+)", TEXT, re.MULTILINE)
ADVISORIES = ROOT / "tests" / "deploy" / "advisories.csv"
FIX = "Fix: tox run -e lock"
LINE = re.compile(r" *#.*|[\w.-]+==\S+(?: ; [^;]+)? \\|    --hash=sha256:[0-9a-f]{64}(?: \\)?")


def locked(file: Path, **image: str) -> dict[str, str]:
    """The versions for this Python on this machine; image: what is different there, by the names of environment markers."""
    entries = map(Requirement, re.findall(r"^(\S+==.+) \\$", file.read_text(encoding="utf-8"), re.MULTILINE))
    chosen = [each for each in entries if each.marker is None or each.marker.evaluate(image)]
    found = {canonicalize_name(each.name): str(each.specifier).removeprefix("==") for each in chosen}
    assert len(found) == len(chosen)
    return found


def of_image(machine: str) -> dict[str, str]:
    full, short = PYTHON
    return {"python_version": short, "python_full_version": full, "platform_machine": machine, "sys_platform": "linux"}


def unmet(declared: list[str], versions: dict[str, str]) -> list[str]:
    """The requirements that the lock file does not satisfy."""
    found = [(each, versions.get(canonicalize_name(each.name))) for each in map(Requirement, declared)]
    return [str(each) for each, version in found if version is None or version not in each.specifier]


@pytest.mark.parametrize("file", [RUNNING, BUILDING], ids=lambda file: file.name)
def test_every_line_is_a_version_or_a_hash(file: Path) -> None:
    """No address of a registry, no path, no option of pip, and nothing without a hash."""
    text = file.read_text(encoding="utf-8")
    assert [line for line in text.splitlines() if not LINE.fullmatch(line)] == []
    assert len(re.findall(r" \\\n    --hash=", text)) == text.count("--hash=")


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_versions_are_those_that_the_package_allows(machine: str) -> None:
    assert unmet(DECLARED["project"]["dependencies"], locked(RUNNING, **of_image(machine))) == [], FIX


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_tools_are_those_that_building_asks_for(machine: str) -> None:
    named = [line for line in (ROOT / "deploy" / "build.in").read_text().splitlines() if not line.startswith("#")]
    assert unmet([*DECLARED["build-system"]["requires"], *named], locked(BUILDING, **of_image(machine))) == [], FIX


def faulty(versions: dict[str, str]) -> list[str]:
    """The advisories that hold for these versions."""
    listed = csv.DictReader(ADVISORIES.read_text(encoding="utf-8").splitlines())
    return [each["advisory"] for each in listed if Version(versions.get(each["package"], "0")) < Version(each["mended"])]


def test_no_version_has_a_known_fault() -> None:
    """Of those that are listed; SECURITY.md says when a line is added. What the image does not have has no line."""
    assert faulty(locked(RUNNING, **of_image("x86_64"))) == [], FIX


def test_a_known_fault_is_noticed() -> None:
    versions = locked(RUNNING, **of_image("x86_64")) | {"pyjwt": "2.11.0"}
    assert faulty(versions) == ["CVE-2026-32597", "CVE-2026-48526"]


def test_a_range_that_moved_on_is_noticed() -> None:
    versions = {"flask": "3.1.3", "sqlalchemy": "2.1.9"}
    assert unmet(["Flask~=3.1.3", "sqlalchemy>=2.1,<3"], versions) == []
    assert unmet(["flask~=3.2", "SQLAlchemy~=2.1.10", "new-library"], versions) == [
        "flask~=3.2", "SQLAlchemy~=2.1.10", "new-library",
    ]  # fmt: skip


def test_the_lock_is_tried_with_the_python_of_the_image() -> None:
    """`tox run -e deploy` asks for the wheels of both machines, and `tox run -e lock` resolves from the oldest Python on."""
    tox = (ROOT / "tox.ini").read_text(encoding="utf-8")
    assert f"--dry-run --require-hashes --only-binary :all: --python-version {PYTHON[1]} " in tox
    assert f"--python-version {DECLARED['project']['requires-python'].removeprefix('>=')} --generate-hashes" in tox


def test_nothing_is_downloaded_without_a_hash() -> None:
    """Each call of pip in the image's build takes hashes or reaches no registry; what builds is not downloaded for it."""
    script = (ROOT / "deploy" / "build-argon2.sh").read_text(encoding="utf-8")
    text = (TEXT + script).replace("\\\n", " ")
    calls = re.findall(r"\bpip (?:--python \S+ )?(?:install|wheel|download) [^&\n]*", text)
    assert len(calls) == 5
    for each in calls:
        assert {"--require-hashes", "--no-index"} & set(each.split()), each
        assert {"--only-binary", "--no-build-isolation", "dist/*.whl"} & set(each.split()), each
