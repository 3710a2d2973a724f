"""The command line: people, keys, housekeeping; and the installed script as a process."""

import re
import subprocess
import uuid
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import Result
from flask import Flask

from api import cli
from api.keys.rotation import JWKS_MAX_AGE
from tests.actors import PASSWORD, Bearer, new_name
from tests.conftest import Stores
from tests.test_readme import SCRIPTS

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def app(new_app: Callable[..., Flask]) -> Flask:
    """An app of this file's own: some commands concern everything there is."""
    return new_app()


@pytest.fixture
def run(app: Flask) -> Run:
    """Call a command in the app: `run(cli.users_cli, "create", name)`."""

    def call(command: click.Command, *words: str, **options: Any) -> Result:
        return app.test_cli_runner().invoke(command, list(words), **options)

    return call


def create(run: Run, name: str, *words: str, password: str = PASSWORD) -> Result:
    return run(cli.users_cli, "create", name, "--password", password, *words)


def test_a_created_user_can_sign_in(app: Flask, run: Run) -> None:
    ada = Bearer(app)
    result = create(run, ada.name, "--email", "ada@example.com")
    assert result.exit_code == 0, result.output
    assert PASSWORD not in result.output
    assert ada.login().status_code == 200
    assert ada.get("/v1/users/me").json["roles"] == ["user"]
    assert result.output.split() == [ada.id, ada.name, "user"]


def test_create_asks_for_the_password_when_it_is_not_given(app: Flask, run: Run) -> None:
    """So that it need not stand in the shell's history; what is typed is not echoed."""
    ada = Bearer(app)
    result = run(cli.users_cli, "create", ada.name, input=f"{PASSWORD}\n{PASSWORD}\n")
    assert result.exit_code == 0, result.output
    assert PASSWORD not in result.output
    assert ada.login().status_code == 200


def test_a_created_administrator_may_administer(app: Flask, run: Run) -> None:
    ada = Bearer(app)
    assert create(run, ada.name, "--admin").exit_code == 0
    ada.login()
    assert ada.get("/v1/admin/users").status_code == 200


@pytest.mark.parametrize(
    ("name", "words", "password", "reason"),
    [
        ("x", (), PASSWORD, "username: "),
        ("ada", ("--email", "nowhere"), PASSWORD, "email: Must be an e-mail address."),
        ("ada", (), "Short-1", "password: "),
        ("ada", (), "no-digit-or-capital", "password: Must contain one of A-Z and a digit."),
        ("Secret-Name-1", (), "Secret-Name-1", "The password is too easy to guess."),
    ],
    ids=["username", "email", "length", "composition", "username as password"],
)
def test_create_refuses_bad_input_with_the_reason(
    run: Run, name: str, words: tuple[str, ...], password: str, reason: str
) -> None:
    result = create(run, name, *words, password=password)
    assert result.exit_code != 0
    assert reason in result.output
    assert password == name or password not in result.output
    assert "Traceback" not in result.output


def test_create_refuses_a_taken_username(app: Flask, run: Run) -> None:
    ada = Bearer(app).join()
    result = create(run, ada.name.upper())
    assert result.exit_code != 0
    assert "The username is taken." in result.output


def test_a_promoted_user_has_the_role_at_once(app: Flask, run: Run) -> None:
    """The tokens issued before are dead, and a refresh gives the new role; the role already held stays."""
    ada = Bearer(app).join()
    result = run(cli.users_cli, "promote", ada.name)
    assert (result.exit_code, result.output) == (0, f"{ada.name}: admin user\n")
    assert ada.get("/v1/users/me").json["type"] == "/problems/token-revoked"
    ada.refresh()
    assert ada.get("/v1/admin/users").status_code == 200


def test_promote_can_give_any_role(app: Flask, run: Run) -> None:
    ada = Bearer(app).join()
    assert run(cli.users_cli, "promote", ada.name, "--role", "clerk").exit_code == 0
    ada.login()
    assert ada.get("/v1/users/me").json["roles"] == ["clerk", "user"]


@pytest.mark.parametrize("role", ["Not A Role", "", "x" * 33])
def test_promote_refuses_what_the_api_would_refuse_as_a_role(app: Flask, run: Run, role: str) -> None:
    ada = Bearer(app).join()
    result = run(cli.users_cli, "promote", ada.name, "--role", role)
    assert result.exit_code != 0
    assert ada.get("/v1/users/me").json["roles"] == ["user"]


def test_revoke_ends_everything_of_one_user_alone(app: Flask, run: Run) -> None:
    ada, grace = Bearer(app).join(), Bearer(app).join()
    result = run(cli.users_cli, "revoke", ada.name)
    assert (result.exit_code, result.output) == (0, f"{ada.name}: all sessions ended.\n")
    assert ada.get("/v1/users/me").json["type"] == "/problems/token-revoked"
    assert ada.refresh().json["type"] == "/problems/session-ended"
    assert ada.login().status_code == 200
    assert grace.get("/v1/users/me").status_code == 200


@pytest.mark.parametrize("command", ["promote", "revoke"])
def test_a_user_who_does_not_exist_is_said_not_to(run: Run, command: str) -> None:
    result = run(cli.users_cli, command, new_name("nobody"))
    assert result.exit_code != 0
    assert "No such user." in result.output


def test_keys_are_listed_newest_first_and_without_secrets(app: Flask, run: Run) -> None:
    before = run(cli.keys_cli, "list").output.splitlines()
    rotated = run(cli.keys_cli, "rotate")
    assert f"signs in {JWKS_MAX_AGE} seconds" in rotated.output
    after = run(cli.keys_cli, "list").output.splitlines()
    assert len(after) == len(before) + 1
    assert after[0].startswith(rotated.output.split()[0])
    assert after[0].endswith("verifies until -")
    assert not after[1].endswith("verifies until -")
    assert "PRIVATE" not in "".join(after)


def test_a_rotation_signs_nobody_out_and_a_compromised_key_everybody(app: Flask, run: Run) -> None:
    ada = Bearer(app).join()
    run(cli.keys_cli, "rotate")
    assert ada.get("/v1/users/me").status_code == 200
    assert "signs now" in run(cli.keys_cli, "rotate", "--compromised").output
    assert ada.get("/v1/users/me").json["type"] == "/problems/invalid-token"
    assert ada.login().status_code == 200
    assert ada.get("/v1/users/me").status_code == 200


def session_count(actor: Bearer) -> int:
    return len(actor.get("/v1/users/me/sessions").json["items"])


def purged(runner: Any) -> dict[str, int]:
    """How many sessions and keys `keycard purge` says it has deleted."""
    told = runner.invoke(cli.purge).output
    return {what: int(count) for count, what in re.findall(r"(\d+) (sessions|keys)", told)}


def test_purge_deletes_what_is_over_and_nothing_else(new_app: Callable[..., Flask], clock: Any) -> None:
    """A session is over when no token of it can be presented any more, and a key when it verifies nothing."""
    app = new_app()
    purge = app.test_cli_runner()
    ada = Bearer(app).join()
    purge.invoke(cli.keys_cli, ["rotate"])
    clock.shift(timedelta(days=7) - timedelta(seconds=1))
    grace = Bearer(app).join()
    assert purged(purge) == {"sessions": 0, "keys": 0}
    assert ada.refresh().status_code == 200

    clock.shift(timedelta(seconds=JWKS_MAX_AGE + 2))
    assert purged(purge) == {"sessions": 0, "keys": 1}
    assert grace.get("/v1/users/me").status_code == 200

    clock.shift(timedelta(days=7))
    assert purged(purge) == {"sessions": 2, "keys": 0}
    assert ada.login().status_code == 200
    assert session_count(ada) == 1


def test_an_ended_session_is_kept_while_its_refresh_token_could_come_back(new_app: Callable[..., Flask], clock: Any) -> None:
    """Its row is what tells a replayed token from a good one."""
    app = new_app()
    ada = Bearer(app).join()
    ada.logout()
    clock.shift(timedelta(days=6))
    assert "0 sessions" in app.test_cli_runner().invoke(cli.purge).output
    clock.shift(timedelta(days=1, seconds=1))
    assert "1 sessions" in app.test_cli_runner().invoke(cli.purge).output


def test_serve_explains_its_options(run: Run) -> None:
    result = run(cli.serve, "--help")
    assert result.exit_code == 0
    for option in ("--host", "--port", "--workers"):
        assert option in result.output


def keycard(environment: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    """Run the installed script."""
    command = [SCRIPTS / "keycard", *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_the_script_migrates_creates_and_refuses(new_stores: Callable[[], Stores], tmp_path: Path) -> None:
    """On an empty database: the tables, then a user, and no second one of that name."""
    environment = new_stores().environment(tmp_path)
    name = f"ada-{uuid.uuid4().hex[:8]}"
    words = ("users", "create", name, "--password", PASSWORD)
    assert keycard(environment, "db", "upgrade").returncode == 0
    created = keycard(environment, *words)
    assert (created.returncode, created.stdout.split()[1:]) == (0, [name, "user"])
    again = keycard(environment, *words)
    assert (again.returncode, again.stdout) == (1, "")
    assert again.stderr.startswith("Error: The username is taken.")
