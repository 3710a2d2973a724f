"""The argon2 of the image: built with AVX2 by the image's own commands, used where the processor has AVX2, else the wheel."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import IN_CI
from tests.processes.servers import eventually

DEPLOY = Path(__file__).parent.parent.parent / "deploy"
CHEAP = "argon2.PasswordHasher(time_cost=1, memory_cost=64, parallelism=2)"
WHICH = "import _argon2_cffi_bindings; print(_argon2_cffi_bindings.__file__)"
PROCESSOR = Path("/proc/cpuinfo")


def cpuinfo(folder: Path, flags: str) -> Path:
    """What a processor with these flags says about itself."""
    file = folder / "cpuinfo"
    file.write_text(f"processor\t: 0\nmodel name\t: a processor\nflags\t\t: {flags}\nbugs\t\t: none\n")
    return file


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The second build, by the script that the Dockerfile runs."""
    if not shutil.which("gcc") or os.uname().machine != "x86_64":
        (pytest.fail if IN_CI else pytest.skip)("building for AVX2 needs gcc and an x86-64 machine")
    folder = tmp_path_factory.mktemp("argon2") / "avx2"
    done = subprocess.run([DEPLOY / "build-argon2.sh", folder, sys.executable], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def run(folder: Path, processor: Path, code: str, *words: str) -> str:
    """What Python prints, started by the image's entry point on such a processor."""
    environment = {"PATH": os.environ["PATH"], "ARGON2_AVX2": str(folder), "CPUINFO": str(processor)}
    command = [DEPLOY / "entrypoint.sh", sys.executable, "-c", code, *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def needs_avx2() -> None:
    if "avx2" not in PROCESSOR.read_text().split():
        (pytest.fail if IN_CI else pytest.skip)("this processor has no AVX2 to run the build on")


@pytest.mark.usefixtures("needs_avx2")
def test_a_processor_with_avx2_gets_the_second_build(built: Path) -> None:
    assert run(built, PROCESSOR, WHICH).startswith(f"{built}/")


@pytest.mark.parametrize("flags", ["fpu sse2 avx avx512f", "fpu avx2x xavx2", ""], ids=["older", "similar", "none"])
def test_a_processor_without_avx2_gets_the_wheel(built: Path, tmp_path: Path, flags: str) -> None:
    """The fallback: an instruction that the processor lacks would end the process at the first sign-in."""
    assert "site-packages" in run(built, cpuinfo(tmp_path, flags), WHICH)


def test_without_the_build_or_word_of_the_processor_it_is_the_wheel(built: Path, tmp_path: Path) -> None:
    """On ARM the folder is empty; where /proc is hidden, nothing is known."""
    assert "site-packages" in run(tmp_path, PROCESSOR, WHICH)
    assert "site-packages" in run(built, tmp_path / "nothing", WHICH)


@pytest.mark.usefixtures("needs_avx2")
def test_each_verifies_the_hashes_of_the_other(built: Path, tmp_path: Path) -> None:
    """A database outlives its machines."""
    kinds = {"avx2": PROCESSOR, "wheel": cpuinfo(tmp_path, "sse2")}
    make, verify = (
        f"import argon2; print({CHEAP}.hash('secret'))",
        f"import argon2, sys; print({CHEAP}.verify(sys.argv[1], 'secret'))",
    )
    hashes = {name: run(built, processor, make) for name, processor in kinds.items()}
    assert run(built, kinds["wheel"], verify, hashes["avx2"]) == "True"
    assert run(built, kinds["avx2"], verify, hashes["wheel"]) == "True"
    with pytest.raises(subprocess.CalledProcessError):
        run(built, kinds["avx2"], verify, hashes["wheel"][:-4] + "AAAA")


@pytest.mark.usefixtures("needs_avx2")
def test_the_build_has_the_instructions_and_the_wheel_has_not(built: Path) -> None:
    """The flags arrived: a build without them would be correct, slow, and nobody would notice."""
    (library,) = (built / "_argon2_cffi_bindings").glob("*.so")
    wheel = Path(run(Path("/nowhere"), PROCESSOR, WHICH)).parent
    (plain,) = wheel.glob("*.so")
    assert uses_wide_registers(library)
    assert not uses_wide_registers(plain)


def uses_wide_registers(library: Path) -> bool:
    """Whether the machine code names a 256-bit register."""
    return "%ymm" in subprocess.run(["objdump", "-d", library], capture_output=True, text=True, check=True).stdout


def test_the_command_takes_the_place_of_the_entry_point(tmp_path: Path) -> None:
    """Or the SIGTERM of `docker stop` would reach a shell that passes nothing on."""
    with subprocess.Popen([DEPLOY / "entrypoint.sh", "sleep", "60"], env={"PATH": os.environ["PATH"]}) as process:
        eventually(lambda: Path(f"/proc/{process.pid}/comm").read_text().strip() == "sleep")
        process.terminate()
        assert process.wait(10) == -15


def test_the_command_keeps_its_words_and_its_status() -> None:
    done = subprocess.run(
        [DEPLOY / "entrypoint.sh", "sh", "-c", 'printf "%s|" "$@"; exit 7', "sh", "a b", "*"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("a b|*|", 7)
