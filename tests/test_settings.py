"""Settings: development needs none, production refuses unsafe ones, and every fault is named at once."""

import base64
import os
import secrets
import string
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from api.config import ConfigurationError, Settings, load_settings
from api.guessing import PUBLISHED_SECRETS
from tests.test_readme import SCRIPTS

PRINTABLE = string.ascii_letters + string.digits + string.punctuation
SAFE = {
    "ENV": "production",
    "PUBLIC_URL": "https://auth.example.com",
    "DATABASE_URL": "postgresql://keycard@db.example.com/keycard",
    "SMTP_URL": "smtps://keycard:PASSWORD@mail.example.com",
    "MAIL_FROM": "no-reply@example.com",
}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """An environment without settings, and a folder without `.env`; both are as before in the end."""
    before = dict(os.environ)
    for name in before:
        if name.startswith("KEYCARD_"):
            del os.environ[name]
    monkeypatch.chdir(tmp_path)
    yield
    os.environ.clear()
    os.environ.update(before)


def load(**values: str) -> Settings:
    """Load the settings from these variables."""
    os.environ.update({f"KEYCARD_{name}": value for name, value in values.items()})
    return load_settings()


def faults(**values: str) -> list[str]:
    """The faults that these variables have."""
    with pytest.raises(ConfigurationError) as raised:
        load(**values)
    return str(raised.value).splitlines()


def names(found: list[str]) -> set[str]:
    return {fault.split(":")[0].removeprefix("KEYCARD_") for fault in found}


def test_development_needs_no_setting() -> None:
    assert load() == Settings()
    assert not load().production


def test_every_kind_of_value_is_read() -> None:
    found = load(
        REFRESH_GRACE="0", RATELIMIT_ENABLED="false", CORS_ORIGINS="https://a.example, https://b.example", AUDIENCE="shop"
    )
    assert (found.refresh_grace, found.ratelimit_enabled) == (0, False)
    assert found.cors_origins == ("https://a.example", "https://b.example")
    assert found.token_audience == "shop"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ENV", "prod"),
        ("REFRESH_GRACE", "soon"),
        ("REFRESH_GRACE", "301"),
        ("REFRESH_GRACE", "-1"),
        ("ACCESS_TOKEN_LIFETIME", "0"),
        ("RATELIMIT_ENABLED", "perhaps"),
        ("RATELIMIT_REGISTER", "often"),
        ("RATELIMIT_REGISTER", "3/minute;"),
        ("RATELIMIT_REGISTER", "3/minute;40/60 seconds"),
        ("DATABASE_URL", "mysql://root@127.0.0.1/keycard"),
        ("DATABASE_URL", "not a url"),
        ("REDIS_URL", "http://127.0.0.1:6379"),
        ("JWT_ALGORITHM", "none"),
        ("PASSWORD_POLICY", "lax"),
        ("PUBLIC_URL", "auth.example.com"),
        ("PUBLIC_URL", "https://auth.example.com/keycard"),
        ("TRUSTED_HOPS", "11"),
        ("METRICS_PORT", "0"),
        ("METRICS_PORT", "65536"),
    ],
)
def test_a_value_that_makes_no_sense_is_named(name: str, value: str) -> None:
    assert names(faults(**{name: value})) == {name}


def test_a_name_that_no_setting_has_is_refused() -> None:
    """A typing error must not silently become a default."""
    assert faults(REFRESH_GRASE="20") == ["KEYCARD_REFRESH_GRASE: no such setting"]


def test_a_setting_that_was_replaced_says_by_what() -> None:
    (fault,) = faults(METRICS_ENABLED="true")
    assert fault == "KEYCARD_METRICS_ENABLED: no such setting; metrics have a port of their own, set KEYCARD_METRICS_PORT"


def test_the_names_of_the_tests_are_left_alone() -> None:
    assert load(TEST_REDIS_URL="redis://127.0.0.1:6379/15") == Settings()


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"REFRESH_TOKEN_LIFETIME": "900"}, "REFRESH_TOKEN_LIFETIME"),
        ({"SESSION_LIFETIME": "604799"}, "SESSION_LIFETIME"),
        ({"ARGON2_MEMORY_COST": "31"}, "ARGON2_MEMORY_COST"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(values: dict[str, str], named: str) -> None:
    assert names(faults(**values)) == {named}


def test_settings_at_the_edge_of_contradiction_are_accepted() -> None:
    found = load(REFRESH_TOKEN_LIFETIME="901", SESSION_LIFETIME="901", ARGON2_MEMORY_COST="32")
    assert (found.session_lifetime, found.argon2_memory_cost) == (901, 32)


def test_faults_of_every_kind_are_named_at_once() -> None:
    """Somebody who mends one fault must not find the next only at the next start."""
    found = faults(REFRESH_GRASE="20", REFRESH_GRACE="soon", TRUSTED_HOPS="many", ARGON2_MEMORY_COST="16")
    assert names(found) == {"REFRESH_GRASE", "REFRESH_GRACE", "TRUSTED_HOPS", "ARGON2_MEMORY_COST"}


@pytest.mark.parametrize(
    "secret",
    [
        "hunter2",
        "kJ8s-2mQ_x7Vb0Zt4RyWn9LcE3uHfAg",  # random, and 31 bytes long
        "a" * 64,
        "0123456789" * 7,
        "super-secret-super-secret-super-secret",
        "this-is-your-256-bit-secret-please-keep-it",
        "Change-Me-Before-You-Go-To-Production!",
        "0123456789abcdef" * 2,
        "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        "qwertyuiopasdfghjklzxcvbnm1234567890qwertyuiop",
        "b1946ac92492d2347c6235b4d2611184",  # hexadecimal: 16 bytes
        "6b86b273ff34fce19d6b804eff5a3f57" * 2,
        "secretsecretsecretsecretsecretsecretsecretsecret",
        "supersecretkeyyoushouldnotcommittogithub12345",
        # Published: jwt.io's examples, then the ones of FastAPI, Flask, RFC 7515 and RFC 7520.
        "a-string-secret-at-least-256-bits-long",
        "a-valid-string-secret-that-is-at-least-384-bits-long",
        "a-valid-string-secret-that-is-at-least-512-bits-long-which-is-very-long",
        "your-256-bit-secret",
        *PUBLISHED_SECRETS,
    ],
)
def test_a_weak_secret_stops_the_start(secret: str) -> None:
    found = faults(JWT_ALGORITHM="HS256", JWT_SECRET=secret)
    assert names(found) == {"JWT_SECRET"}
    assert not any(secret in fault for fault in found)


def test_a_random_secret_is_accepted() -> None:
    in_base64, in_base32 = base64.b64encode(secrets.token_bytes(48)), base64.b32encode(secrets.token_bytes(32))
    printable = "".join(secrets.choice(PRINTABLE) for _ in range(40))
    made = (secrets.token_urlsafe(32), secrets.token_hex(32), in_base64.decode(), in_base32.decode(), printable)
    for secret in made:
        assert load(JWT_ALGORITHM="HS256", JWT_SECRET=secret).jwt_secret == secret


def test_hs256_and_a_secret_belong_together() -> None:
    assert names(faults(JWT_ALGORITHM="HS256")) == {"JWT_SECRET"}
    assert names(faults(JWT_ALGORITHM="EdDSA", JWT_SECRET=secrets.token_urlsafe(32))) == {"JWT_SECRET"}


def test_a_secret_that_only_verifies_must_be_as_strong_and_another() -> None:
    """Whoever guesses it can make tokens, too. It may be left behind by any algorithm."""
    secret, other = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
    for weak in ("hunter2", "a" * 64, "Change-Me-Before-You-Go-To-Production!"):
        found = faults(JWT_VERIFYING_SECRET=weak)
        assert names(found) == {"JWT_VERIFYING_SECRET"}
        assert not any(weak in fault for fault in found)
    assert names(faults(JWT_ALGORITHM="HS256", JWT_SECRET=secret, JWT_VERIFYING_SECRET=secret)) == {"JWT_VERIFYING_SECRET"}
    assert load(JWT_ALGORITHM="HS256", JWT_SECRET=secret, JWT_VERIFYING_SECRET=other).jwt_verifying_secret == other


@pytest.mark.parametrize("origins", ["*", "https://app.example.com,*", "app.example.com", "https://app.example.com/"])
def test_unsafe_origins_stop_the_start(origins: str) -> None:
    """Answers carry credentials, so `*` would let every site act for a signed-in user."""
    assert names(faults(CORS_ORIGINS=origins)) == {"CORS_ORIGINS"}


def test_production_with_safe_settings_starts() -> None:
    assert load(**SAFE).production


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"PUBLIC_URL": "http://auth.example.com"}, "PUBLIC_URL"),
        ({"RATELIMIT_ENABLED": "false"}, "RATELIMIT_ENABLED"),
        ({"ARGON2_MEMORY_COST": "19455", "ARGON2_TIME_COST": "2"}, "ARGON2_*"),
        ({"CORS_ORIGINS": "http://app.example.com"}, "CORS_ORIGINS"),
    ],
)
def test_production_refuses_what_development_accepts(values: dict[str, str], named: str) -> None:
    assert names(faults(**{**SAFE, **values})) == {named}
    assert load(**{**SAFE, **values, "ENV": "development"})


def test_production_refuses_the_debugger(monkeypatch: pytest.MonkeyPatch) -> None:
    """`FLASK_DEBUG=1 keycard run` would serve a console that runs what a visitor types."""
    monkeypatch.setenv("FLASK_DEBUG", "1")
    assert [fault.partition(":")[0] for fault in faults(**SAFE)] == ["FLASK_DEBUG"]
    assert load(**{**SAFE, "ENV": "development"})
    monkeypatch.setenv("FLASK_DEBUG", "0")
    assert load(**SAFE).production


def test_production_without_settings_names_everything_that_is_missing() -> None:
    assert names(faults(ENV="production")) == {"DATABASE_URL", "PUBLIC_URL", "SMTP_URL", "MAIL_FROM"}


def test_production_names_all_faults_at_once() -> None:
    found = faults(ENV="production", RATELIMIT_ENABLED="false", CORS_ORIGINS="*", JWT_SECRET="short", REFRESH_GRASE="1")
    assert names(found) == {
        "DATABASE_URL",
        "PUBLIC_URL",
        "SMTP_URL",
        "MAIL_FROM",
        "RATELIMIT_ENABLED",
        "CORS_ORIGINS",
        "JWT_SECRET",
        "REFRESH_GRASE",
    }


def write_dotenv(**values: str) -> None:
    lines = [f"KEYCARD_{name}={value}\n" for name, value in values.items()]
    Path(".env").write_text("".join(lines), encoding="utf-8")


def test_development_reads_dotenv_and_the_environment_wins() -> None:
    write_dotenv(REFRESH_GRACE="20", FRESH_LIFETIME="60")
    found = load(FRESH_LIFETIME="61")
    assert (found.refresh_grace, found.fresh_lifetime) == (20, 61)


def test_a_misspelt_name_in_dotenv_is_refused() -> None:
    write_dotenv(REFRESH_GRASE="20")
    assert faults() == ["KEYCARD_REFRESH_GRASE: no such setting"]


def test_production_does_not_read_dotenv() -> None:
    """A file that was left behind must not decide what production does."""
    write_dotenv(REFRESH_GRACE="20")
    assert load(**SAFE).refresh_grace == Settings().refresh_grace


def keycard(*words: str, **values: str) -> Any:
    """Run the console script in the current folder."""
    named = {f"KEYCARD_{name}": value for name, value in values.items()}
    environment = {"PATH": os.environ["PATH"], **named}
    return subprocess.run([SCRIPTS / "keycard", *words], env=environment, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("words", [("serve",), ("keys", "list")], ids=["serve", "keys"])
def test_the_command_line_prints_the_faults_and_no_traceback(words: tuple[str, ...]) -> None:
    ended = keycard(*words, ENV="production", REFRESH_GRASE="20")
    assert ended.returncode != 0
    assert "Traceback" not in ended.stderr + ended.stdout
    for name in ("KEYCARD_DATABASE_URL", "KEYCARD_PUBLIC_URL", "KEYCARD_REFRESH_GRASE"):
        assert name in ended.stderr


def test_the_command_line_does_not_read_dotenv_in_production() -> None:
    """Flask's own command line would, from every folder above too."""
    write_dotenv(DATABASE_URL="postgresql://keycard@db.example.com/keycard", PUBLIC_URL="https://auth.example.com")
    ended = keycard("keys", "list", ENV="production")
    assert ended.returncode != 0
    assert "KEYCARD_DATABASE_URL: required in production" in ended.stderr
