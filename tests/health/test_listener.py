"""The operator's own port: what is there, and what it says of what is not."""

import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask

from api.health.listener import listening
from api.observability import metrics
from tests.actors import Operator


@pytest.mark.parametrize("path", ["/", "/metrics/", "/v1/config", "/health/ready", "/docs"])
def test_there_is_nothing_of_the_api(app: Flask, path: str) -> None:
    assert Operator(app).client.get(path).status_code == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_the_operator_only_looks(app: Flask, method: str) -> None:
    answer = Operator(app).client.open("/metrics", method=method)
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD")


def test_an_error_is_logged_and_not_told(app: Flask, caplog: pytest.LogCaptureFixture) -> None:
    """This app counts nothing, so there is nothing to show."""
    answer = Operator(app).client.get("/metrics")
    assert (answer.status_code, "KeyError" in answer.text) == (500, False)
    assert [each.message for each in caplog.records] == ["unhandled error at the port of the metrics"]


def test_a_port_that_somebody_took_meanwhile_is_an_error_in_the_log(
    new_app: Callable[..., Flask], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """And no more: what the process does besides, delivering mail, goes on."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        app = new_app(metrics_port=taken)
        monkeypatch.setenv(metrics.FOLDER, str(tmp_path))
        with listening(app):
            told = [each.message for each in caplog.records if each.levelname == "ERROR"]
    nobody = f"nobody can listen on 127.0.0.1 port {taken}: Address already in use"
    assert told == [f"metrics are not served, because {nobody}"]
