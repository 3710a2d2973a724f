"""compose.yaml says what Keycard and nginx understand, and presets no password."""

import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from api.config import load_settings

ROOT = Path(__file__).parent.parent.parent
REPLICAS = ("api-1", "api-2")


def filled(text: str, **given: str) -> Any:
    """The file with its variables filled in as Compose does: given, default, or refused."""

    def fill(found: re.Match[str]) -> str:
        name, kind, rest = found.groups()
        if name in given:
            return given[name]
        if kind == "?":
            raise LookupError(rest)
        return rest

    return yaml.safe_load(re.sub(r"\$\{(\w+):([-?])([^}]*)\}", fill, text))


@pytest.fixture
def compose() -> Any:
    return filled((ROOT / "compose.yaml").read_text(), POSTGRES_PASSWORD="0a1b2c")


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in list(os.environ):
        if name.startswith("KEYCARD_"):
            monkeypatch.delenv(name)
    return monkeypatch


def test_the_settings_are_those_of_production_and_accepted(compose: Any, environment: pytest.MonkeyPatch) -> None:
    """An unknown name, or anything unsafe, would stop every replica at its start."""
    for name, value in compose["services"]["api-1"]["environment"].items():
        environment.setenv(name, value)
    found = load_settings()
    assert found.production
    assert (found.public_url, found.trusted_hops) == ("https://localhost:8443", 1)


def test_the_replicas_and_the_migration_are_alike(compose: Any) -> None:
    services = compose["services"]
    for name in (*REPLICAS, "migrate"):
        assert services[name]["environment"] == services["api-1"]["environment"]
        assert services[name]["image"] == services["api-1"]["image"]


def test_no_password_is_preset() -> None:
    with pytest.raises(LookupError, match="POSTGRES_PASSWORD"):
        filled((ROOT / "compose.yaml").read_text())


def test_the_proxy_finds_the_replicas(compose: Any) -> None:
    """The names of nginx are those of the services, at the addresses that these have."""
    named = re.findall(r"server ([\w-]+):8000", (ROOT / "deploy" / "nginx.conf").read_text())
    assert named == list(REPLICAS)
    addresses = [f"{name}:{compose['services'][name]['networks']['inside']['ipv4_address']}" for name in REPLICAS]
    assert compose["services"]["proxy"]["extra_hosts"] == addresses


def test_only_the_proxy_and_the_mail_catcher_can_be_reached(compose: Any) -> None:
    """And these from this machine alone, unless somebody says otherwise."""
    ports = {name: each["ports"] for name, each in compose["services"].items() if "ports" in each}
    assert ports == {"proxy": ["127.0.0.1:8443:8443"], "mail": ["127.0.0.1:8025:8025"]}


def test_the_image_gets_no_secret_of_the_folder() -> None:
    """What is not named is left out of the build: .env, databases, the history."""
    lines = [each for each in (ROOT / ".dockerignore").read_text().splitlines() if not each.startswith("#")]
    assert lines[0] == "*"
    assert {each for each in lines if each.startswith("!")} == {
        "!pyproject.toml", "!README.md", "!LICENSE", "!requirements.lock", "!api", "!deploy/*.sh", "!deploy/build.lock",
    }  # fmt: skip


def test_the_versions_of_the_images_are_pinned(compose: Any) -> None:
    bases = re.findall(r"^FROM (\S+:\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    images = {each["image"] for each in compose["services"].values()} - {"keycard:local"}
    assert len(set(bases)) == 1
    assert all(re.search(r":v?\d+\.\d+", each) for each in {*bases, *images})
