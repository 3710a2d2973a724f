"""Metrics: what is counted, with one process and with several; and nothing at all unless asked for."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote

import pytest
from flask import Flask

from api.observability import metrics
from tests.actors import Bearer, Operator, new_name

PORT = 9464  # not listened on by an app that is only called
# Of the address that the port of the API does not have.
SPELLINGS = (
    "/metrics", "/metrics/", "//metrics", "/metrics//", "/METRICS", "/metrics%2f", "/%6detrics", "/%2fmetrics", "/./metrics",
    "/health/../metrics", "/metrics;x", "/metrics?x=1", "/ready", "/ready/", "/health/metrics", "/health/ready/metrics",
)  # fmt: skip


def value(text: str, name: str, **labels: str) -> float:
    """The value of a series, 0 if there is none."""
    for line in text.splitlines():
        found = re.fullmatch(rf"{name}(?:{{(.*)}})? (\S+)", line)
        if found and dict(re.findall(r'(\w+)="([^"]*)"', found[1] or "")) == labels:
            return float(found[2])
    return 0.0


@pytest.fixture(scope="module")
def counting(new_app: Callable[..., Flask]) -> Flask:
    return new_app(metrics_port=PORT, refresh_grace=10, argon2_concurrency=2)


def told(app: Flask) -> str:
    return Operator(app).metrics()


@pytest.mark.parametrize("path", SPELLINGS)
def test_the_port_of_the_api_has_no_metrics(counting: Flask, path: str) -> None:
    """However their address is spelt."""
    named = unquote(path.partition("?")[0])  # as a server gives it; the client would take `//metrics` for a host
    answer = Bearer(counting).get("/", environ_overrides={"PATH_INFO": named})
    assert (answer.status_code, answer.json["type"]) == (404, "/problems/not-found")


def test_off_means_that_nothing_is_imported(tmp_path: Path) -> None:
    code = """
import sys
from api import create_app
from api.config import Settings
app = create_app(Settings(instance_path=sys.argv[1]))
app.test_client().get("/health/live")
print(set(sys.modules) & {"prometheus_client", "opentelemetry.instrumentation"})
"""
    done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "set()\n"


def test_requests_are_counted_by_operation_and_status(counting: Flask) -> None:
    before = told(counting)
    ada = Bearer(counting).join()
    for _ in range(3):
        ada.get("/v1/users/me")
    ada.request("GET", "/v1/users/me")
    after = told(counting)

    def grown(name: str, **labels: str) -> float:
        return value(after, name, **labels) - value(before, name, **labels)

    assert grown("keycard_requests_total", operation="get_me", status="200") == 3
    assert grown("keycard_requests_total", operation="get_me", status="401") == 1
    assert grown("keycard_requests_total", operation="register", status="201") == 1
    assert grown("keycard_request_duration_seconds_count", operation="get_me") == 4
    assert grown("keycard_request_duration_seconds_bucket", operation="get_me", le="+Inf") == 4
    assert grown("keycard_request_duration_seconds_sum", operation="get_me") > 0


def test_a_stranger_cannot_make_series(counting: Flask) -> None:
    """Addresses and methods that do not exist have one name together."""
    before = told(counting).count("\n")
    nobody = Bearer(counting)
    for number in range(20):
        nobody.get(f"/nowhere/{number}")
        nobody.request(f"STRANGE{number}", "/v1/users/me")
        nobody.request("OPTIONS", f"/nowhere/{number}")
        nobody.get(f"/v1/admin/users/{number}")
    after = told(counting)
    assert value(after, "keycard_requests_total", operation="unmatched", status="404") >= 20
    assert "STRANGE" not in after
    assert after.count("\n") - before <= 60  # unmatched and get_user: their statuses and buckets


def test_the_outcomes_of_signing_in(counting: Flask) -> None:
    before = told(counting)
    admin, ada = Bearer(counting).join(roles=["admin"]), Bearer(counting).join()
    wrong = Bearer(counting, ada.name)
    wrong.password = "Wrong-Horse-77"
    assert [wrong.login().status_code, Bearer(counting, new_name()).login().status_code] == [401, 401]
    etag = admin.get(f"/v1/admin/users/{ada.id}").headers["ETag"]
    suspended = {"suspension": {"reason": "test"}}
    suspension = admin.patch(f"/v1/admin/users/{ada.id}", json=suspended, headers={"If-Match": etag})
    assert suspension.status_code == 200, suspension.text
    assert ada.login().status_code == 403
    after = told(counting)
    grown = {
        outcome: value(after, "keycard_logins_total", outcome=outcome) - value(before, "keycard_logins_total", outcome=outcome)
        for outcome in metrics.LOGINS.values
    }
    assert grown == {"success": 2, "invalid": 2, "suspended": 1, "throttled": 0, "overloaded": 0}


def test_sign_ins_that_are_slowed_down_or_turned_away(new_app: Callable[..., Flask]) -> None:
    """By the rate limit, and by the growing delay; and those for which no hash was free."""
    app = new_app(metrics_port=PORT, ratelimit_enabled=True, ratelimit_login_account="7/minute", argon2_concurrency=1)
    name = new_name()
    statuses = [Bearer(app, name).login().status_code for _ in range(9)]
    assert statuses.count(429) == statuses.count(401) - 1 == 4
    assert value(told(app), "keycard_logins_total", outcome="throttled") == 4
    with app.app_context():
        hasher = app.extensions["keycard.hasher"]
        places = hasher._places
        taken = 0
        while places.take():
            taken += 1
    assert Bearer(app).login().status_code == 503
    text = told(app)
    for _ in range(taken):
        places.give_back()
    assert value(text, "keycard_logins_total", outcome="overloaded") == 1
    assert value(text, "keycard_hashes_refused_total", reason="queue_full") == 1
    assert value(text, "keycard_hashes_running") == 1
    assert value(text, "keycard_hashes_waiting") == taken - 1


def test_the_outcomes_of_refreshing(counting: Flask) -> None:
    before = told(counting)
    ada = Bearer(counting).join()
    first = ada.refresh_token
    assert ada.refresh().status_code == 200  # rotated
    again = Bearer(counting)
    again.refresh_token = first
    assert again.refresh().status_code == 200  # repeated
    assert ada.refresh().status_code == 200  # rotated
    again.refresh_token = first
    assert [again.refresh().status_code, ada.refresh().status_code] == [401, 401]  # reused, ended
    after = told(counting)
    grown = {
        outcome: value(after, "keycard_refreshes_total", outcome=outcome)
        - value(before, "keycard_refreshes_total", outcome=outcome)
        for outcome in metrics.REFRESHES.values
    }
    assert grown == {"rotated": 2, "repeated": 1, "reused": 1, "ended": 1}


def test_an_outcome_that_nobody_has_declared_is_an_error(app: Flask) -> None:
    """Also while nothing is counted, so that a test finds the typing error."""
    with app.app_context(), pytest.raises(ValueError, match="knows no"):
        metrics.count(metrics.LOGINS, "sucess")


def test_what_is_looked_at(counting: Flask) -> None:
    ada = Bearer(counting)
    ada.register(email=f"{ada.name}@example.com")
    text = told(counting)
    assert value(text, "keycard_mails_waiting") >= 1
    assert 'keycard_build_info{python="3.' in text
    assert value(text, "keycard_database_pool_limit") > 0
    assert value(text, "keycard_database_pool_size") >= 1
    assert "keycard_hashes_running 0.0" in text
