"""The image's own commands make what the lock files say; its argon2 is built with AVX2, for the processors that have it."""

import os
import shutil
import subprocess
from pathlib import Path

import httpx
import pytest
from packaging.utils import canonicalize_name

from api import __version__
from tests.actors import PASSWORD
from tests.conftest import IN_CI, Stores
from tests.deploy.image import ROOT, Image
from tests.deploy.test_lock import RUNNING, locked
from tests.processes.servers import eventually
from tests.test_readme import free_port, serving

pytestmark = pytest.mark.timeout(600)  # the image installs and compiles
DEPLOY = ROOT / "deploy"
CHEAP = "argon2.PasswordHasher(time_cost=1, memory_cost=64, parallelism=2)"
WHICH = "import _argon2_cffi_bindings; print(_argon2_cffi_bindings.__file__)"
PROCESSOR = Path("/proc/cpuinfo")


def cpuinfo(folder: Path, flags: str) -> Path:
    """What a processor with these flags says about itself."""
    file = folder / "cpuinfo"
    file.write_text(f"processor\t: 0\nmodel name\t: a processor\nflags\t\t: {flags}\nbugs\t\t: none\n")
    return file


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    if not shutil.which("gcc") or os.uname().machine != "x86_64":
        (pytest.fail if IN_CI else pytest.skip)("building for AVX2 needs gcc and an x86-64 machine")
    made = Image(tmp_path_factory.mktemp("image"))
    made.build()
    return made


def run(image: Image, processor: Path, code: str, *words: str, avx2: Path | None = None) -> str:
    """What Python prints, started by the image's entry point on such a processor. avx2: another folder for the second build."""
    environment = {"PATH": os.environ["PATH"], "ARGON2_AVX2": str(avx2 or image.avx2), "CPUINFO": str(processor)}
    command = [DEPLOY / "entrypoint.sh", image.python, "-c", code, *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip()


def test_the_image_has_what_the_lock_file_says_and_nothing_else(image: Image) -> None:
    """Keycard, the locked versions for this Python, and neither pip nor a compiler's tools."""
    code = "from importlib.metadata import distributions; print(*(f'{each.name}=={each.version}' for each in distributions()))"
    expected = {f"{name}=={version}" for name, version in locked(RUNNING).items()} | {f"keycard=={__version__}"}
    installed = run(image, Path("/nowhere"), code).split()
    assert {f"{canonicalize_name(name)}=={version}" for name, version in (each.split("==") for each in installed)} == expected


def test_the_image_serves_with_no_more_than_that(image: Image, tmp_path: Path) -> None:
    """Every other environment has the tests' libraries and OpenTelemetry, which would hide an import of theirs."""
    environment = Stores("sqlite", f"sqlite:///{tmp_path}/keycard.sqlite3", None).environment(tmp_path)
    port = free_port()
    with serving([str(image.keycard), "serve", "--port", str(port)], port, tmp_path, **environment) as url:
        account = {"username": "ada", "password": PASSWORD}
        assert httpx.post(f"{url}/v1/auth/register", json=account).status_code == 201
        token = httpx.post(f"{url}/v1/auth/login", json=account).json()["access_token"]
        me = httpx.get(f"{url}/v1/users/me", headers={"Authorization": f"Bearer {token}"})
        assert me.json()["username"] == "ada"


@pytest.fixture
def needs_avx2() -> None:
    if "avx2" not in PROCESSOR.read_text().split():
        (pytest.fail if IN_CI else pytest.skip)("this processor has no AVX2 to run the build on")


@pytest.mark.usefixtures("needs_avx2")
def test_a_processor_with_avx2_gets_the_second_build(image: Image) -> None:
    assert run(image, PROCESSOR, WHICH).startswith(f"{image.avx2}/")


@pytest.mark.parametrize("flags", ["fpu sse2 avx avx512f", "fpu avx2x xavx2", ""], ids=["older", "similar", "none"])
def test_a_processor_without_avx2_gets_the_wheel(image: Image, tmp_path: Path, flags: str) -> None:
    """The fallback: an instruction that the processor lacks would end the process at the first sign-in."""
    assert "site-packages" in run(image, cpuinfo(tmp_path, flags), WHICH)


def test_without_the_build_or_word_of_the_processor_it_is_the_wheel(image: Image, tmp_path: Path) -> None:
    """On ARM the folder is empty; where /proc is hidden, nothing is known."""
    assert "site-packages" in run(image, PROCESSOR, WHICH, avx2=tmp_path)
    assert "site-packages" in run(image, tmp_path / "nothing", WHICH)


@pytest.mark.usefixtures("needs_avx2")
def test_each_verifies_the_hashes_of_the_other(image: Image, tmp_path: Path) -> None:
    """A database outlives its machines."""
    kinds = {"avx2": PROCESSOR, "wheel": cpuinfo(tmp_path, "sse2")}
    make, verify = (
        f"import argon2; print({CHEAP}.hash('secret'))",
        f"import argon2, sys; print({CHEAP}.verify(sys.argv[1], 'secret'))",
    )
    hashes = {name: run(image, processor, make) for name, processor in kinds.items()}
    assert run(image, kinds["wheel"], verify, hashes["avx2"]) == "True"
    assert run(image, kinds["avx2"], verify, hashes["wheel"]) == "True"
    with pytest.raises(subprocess.CalledProcessError):
        run(image, kinds["avx2"], verify, hashes["wheel"][:-4] + "AAAA")


@pytest.mark.usefixtures("needs_avx2")
def test_the_build_has_the_instructions_and_the_wheel_has_not(image: Image) -> None:
    """The flags arrived: a build without them would be correct, slow, and nobody would notice."""
    (library,) = (image.avx2 / "_argon2_cffi_bindings").glob("*.so")
    wheel = Path(run(image, Path("/nowhere"), WHICH)).parent
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
