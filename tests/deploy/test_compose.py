"""compose.yaml says what Keycard and nginx understand, and presets no password."""

import os
import re
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy.engine import make_url

from api.config import load_settings
from tests.processes import composed

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
def passwords(tmp_path: Path) -> dict[str, str]:
    return composed.passwords(tmp_path / "passwords.env")


@pytest.fixture
def compose(passwords: dict[str, str]) -> Any:
    return filled((ROOT / "compose.yaml").read_text(), **passwords)


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


@pytest.mark.parametrize("name", ["POSTGRES_PASSWORD", "DATABASE_PASSWORD", "REDIS_PASSWORD"])
def test_no_password_is_preset(passwords: dict[str, str], name: str) -> None:
    """Without it Compose stops, and names the command that makes it."""
    del passwords[name]
    with pytest.raises(LookupError, match=r"run deploy/secrets\.sh"):
        filled((ROOT / "compose.yaml").read_text(), **passwords)


def test_the_passwords_are_random_and_for_the_owner_alone(passwords: dict[str, str], tmp_path: Path) -> None:
    other = composed.passwords(tmp_path / "other.env")
    values = [*passwords.values(), *other.values()]
    assert len(set(values)) == 6
    assert all(re.fullmatch(r"[0-9a-f]{48}", each) for each in values)
    assert stat.S_IMODE((tmp_path / "other.env").stat().st_mode) == 0o600


def test_a_password_that_is_there_is_kept(tmp_path: Path) -> None:
    """A new one would lock the service out of its stores. A line of another kind is nobody's business."""
    env = tmp_path / "some.env"
    env.write_text("HTTPS_PORT=443\nREDIS_PASSWORD=mine\nDATABASE_PASSWORD=\nOLD_POSTGRES_PASSWORD=x")
    before = env.read_text()
    first, second = composed.passwords(env), composed.passwords(env)
    assert first == second
    assert env.read_text().startswith(before)
    assert (first["HTTPS_PORT"], first["REDIS_PASSWORD"], first["OLD_POSTGRES_PASSWORD"]) == ("443", "mine", "x")
    assert all(len(first[name]) == 48 for name in ("POSTGRES_PASSWORD", "DATABASE_PASSWORD"))


def test_the_service_has_no_password_but_its_own(compose: Any, passwords: dict[str, str]) -> None:
    """Neither the superuser's nor the name of one: what Keycard may do is what its role may do."""
    replica, database = compose["services"]["api-1"]["environment"], compose["services"]["database"]["environment"]
    url = make_url(replica["KEYCARD_DATABASE_URL"])
    assert (url.username, url.password) == ("keycard", passwords["DATABASE_PASSWORD"])
    assert url.username != database.get("POSTGRES_USER", "postgres")
    assert passwords["POSTGRES_PASSWORD"] not in str(replica)


def test_every_password_has_one_place(compose: Any, passwords: dict[str, str]) -> None:
    """None is in a command, which everybody on the machine could read in the list of processes."""
    for name, each in compose["services"].items():
        assert not [value for value in passwords.values() if value in str(each.get("command"))], name


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


def test_metrics_can_be_reached_from_inside_alone(compose: Any) -> None:
    """Each replica listens on a port that neither is published nor has a way through the proxy."""
    settings = compose["services"]["api-1"]["environment"]
    assert (settings["KEYCARD_METRICS_HOST"], settings["KEYCARD_METRICS_PORT"]) == ("0.0.0.0", "8001")  # noqa: S104
    assert all(list(compose["services"][name]["networks"]) == ["inside"] for name in REPLICAS)
    assert "8001" not in (ROOT / "deploy" / "nginx.conf").read_text()


def test_the_image_gets_no_secret_of_the_folder() -> None:
    """What is not named is left out of the build: .env, databases, the history."""
    lines = [each for each in (ROOT / ".dockerignore").read_text().splitlines() if not each.startswith("#")]
    assert lines[0] == "*"
    assert {each for each in lines if each.startswith("!")} == {
        "!pyproject.toml", "!README.md", "!LICENSE", "!requirements.lock", "!api", "!deploy/*.sh", "!deploy/build.lock",
    }  # fmt: skip


def images(folder: Path) -> list[str]:
    """The images that are fetched from a registry."""
    bases = re.findall(r"^FROM (\S+:\S+)", (folder / "Dockerfile").read_text(), re.MULTILINE)
    named = re.findall(r"^ +image: (\S+)$", (folder / "compose.yaml").read_text(), re.MULTILINE)
    return [*bases, *(each for each in named if each != "keycard:local")]


def test_the_versions_of_the_images_are_pinned() -> None:
    found = images(ROOT)
    assert len(found) == 5
    assert all(re.fullmatch(r"[a-z/]+:v?\d+\.\d+[\w.-]*(@sha256:[0-9a-f]{64})?", each) for each in found), found


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The files that name images, and a registry in which every tag has a digest: that of its name and of the day."""
    (tmp_path / "deploy").mkdir()
    for name in ("Dockerfile", "compose.yaml", "deploy/pin-images.sh"):
        shutil.copy2(ROOT / name, tmp_path / name)
    docker = tmp_path / "docker"
    docker.write_text(
        '#!/bin/sh\n[ "$1 $2 $3 $4" = "buildx imagetools inspect --format" ] || exit 64\n'
        'echo "${ANSWER:-sha256:$(echo "$6 $DAY" | sha256sum | cut -d" " -f1)}"\n'
    )
    docker.chmod(0o755)
    return tmp_path


def pin(checkout: Path, **environment: str) -> int:
    found = {"PATH": f"{checkout}{os.pathsep}{os.environ['PATH']}", **environment}
    return subprocess.run([checkout / "deploy" / "pin-images.sh"], env=found, capture_output=True, check=False).returncode


def test_one_command_pins_the_images_to_digests(checkout: Path) -> None:
    """Each tag stays and gets its digest; another day replaces the digest; nothing else changes."""
    tags = [each.partition("@")[0] for each in images(ROOT)]
    texts = {}
    for day in ("1", "1", "2"):
        assert pin(checkout, DAY=day) == 0
        assert [each.partition("@")[0] for each in images(checkout)] == tags
        assert all(re.search(r"@sha256:[0-9a-f]{64}$", each) for each in images(checkout))
        texts.setdefault(day, set()).add((checkout / "Dockerfile").read_text() + (checkout / "compose.yaml").read_text())
    [[one], [two]] = texts.values()
    assert one != two
    shipped = (ROOT / "Dockerfile").read_text() + (ROOT / "compose.yaml").read_text()
    assert re.sub(r"@sha256:[0-9a-f]{64}", "", two) == re.sub(r"@sha256:[0-9a-f]{64}", "", shipped)


def test_no_digest_is_made_up(checkout: Path) -> None:
    """An answer that is none stops the command, and stands in no file."""
    before = images(checkout)
    assert pin(checkout, ANSWER="ERROR: unauthorized") != 0
    assert images(checkout) == before
