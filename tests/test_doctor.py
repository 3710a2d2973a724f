"""`keycard doctor`, and what serving takes of the machine."""

from pathlib import Path

import pytest
from flask import Flask

from api import cli, doctor, machine
from api.serving import affordable_workers


def test_it_says_what_was_looked_at(app: Flask) -> None:
    with app.app_context():
        found = dict(doctor.diagnose())
    assert found["argon2"].split(";")[0] in {"plain", "AVX2"}
    assert found["parameters"] == "1 passes, 8 KiB, 1 lanes"
    assert "tables of" in found["database"]
    assert found["redis"] in {"ok", "not configured"}


def test_it_is_a_command(app: Flask) -> None:
    app.cli.add_command(cli.doctor)
    done = app.test_cli_runner().invoke(args=["doctor"])
    assert done.exit_code == 0, done.output
    assert "argon2" in done.output


@pytest.mark.parametrize(("code", "build"), [(b"\xc5\xfd\xf4\x21" * 20, "AVX2"), (b"\x66\x0f\xf4\xc1" * 40, "plain")])
def test_the_build_is_known_by_its_instructions(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: bytes, build: str) -> None:
    import _argon2_cffi_bindings._ffi as bindings

    library = tmp_path / "library.so"
    library.write_bytes(code)
    monkeypatch.setattr(bindings, "__file__", str(library))
    assert doctor.argon2_build() == build


def test_a_container_has_what_it_was_given(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    whole = machine.cores(), machine.memory()
    monkeypatch.setattr(machine, "CGROUP", tmp_path)
    assert (machine.cores(), machine.memory()) == whole
    (tmp_path / "cpu.max").write_text("max 100000\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert (machine.cores(), machine.memory()) == whole
    (tmp_path / "cpu.max").write_text("100000 100000\n")
    (tmp_path / "memory.max").write_text("1048576\n")
    assert (machine.cores(), machine.memory()) == (1, 1_048_576)


@pytest.mark.parametrize(("cores", "gibibytes", "workers"), [(4, 16, 4), (4, 1, 3), (64, 16, 51), (1, 64, 1)])
def test_serving_takes_no_more_workers_than_there_is_memory_for(
    app: Flask, monkeypatch: pytest.MonkeyPatch, cores: int, gibibytes: int, workers: int
) -> None:
    """Without Redis and PostgreSQL there is one: each would count its limits alone."""
    monkeypatch.setattr(machine, "cores", lambda: cores)
    monkeypatch.setattr(machine, "memory", lambda: gibibytes * 2**30)
    settings = app.config["SETTINGS"]
    assert affordable_workers(settings) == (workers if settings.redis_url else 1)
