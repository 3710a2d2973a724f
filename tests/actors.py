"""People who use the API, one class for each delivery. All speak the same verbs and only ever use HTTP.

ada = Bearer(app).join()
assert ada.get("/v1/users/me").status_code == 200
ada.refresh(); ada.logout()
"""

import uuid
from typing import Any, Self

from flask import Flask
from werkzeug.test import Client, TestResponse

from api import access, admin
from api.health import listener
from api.http.guards import CSRF_HEADER

PASSWORD = "Correct-Horse-7"


def new_name(prefix: str = "user") -> str:
    """A username that nobody else in this run has."""
    return f"{prefix}-{uuid.uuid4().hex[:12]}"


class Bearer:
    """Delivery `body`: keeps both tokens and sends them in the Authorization header."""

    delivery = "body"

    def __init__(self, app: Flask, name: str | None = None) -> None:
        self.app = app
        self.name = name or new_name()
        self.password = PASSWORD
        self.client = app.test_client()
        self.access_token: str | None = None
        self.refresh_token: str | None = None
        self.csrf_token: str | None = None

    def join(self, *, roles: list[str] | None = None, **extra: Any) -> Self:
        """Register, take roles as an operator would give them, and sign in."""
        assert self.register(**extra).status_code == 201
        if roles is not None:
            with self.app.app_context():
                admin.set_roles(admin.find_by_username(self.name).id, {access.USER, *roles})
        assert self.login().status_code == 200
        return self

    def register(self, **extra: Any) -> TestResponse:
        return self.request("POST", "/v1/auth/register", json={"username": self.name, "password": self.password, **extra})

    def login(self, **extra: Any) -> TestResponse:
        body = {"username": self.name, "password": self.password, "delivery": self.delivery, **extra}
        return self.keep(self.request("POST", "/v1/auth/login", json=body))

    def keep(self, response: TestResponse) -> TestResponse:
        """Keep the tokens of an answer, if it has any."""
        body = response.json if response.status_code == 200 and response.is_json else {}
        assert isinstance(body, dict)
        self.access_token = body.get("access_token", self.access_token)
        self.refresh_token = body.get("refresh_token", self.refresh_token)
        self.csrf_token = body.get("csrf_token", self.csrf_token)
        return response

    def refresh(self) -> TestResponse:
        return self.keep(self.request("POST", "/v1/auth/refresh", token=self.refresh_token))

    def reauthenticate(self) -> TestResponse:
        """Give the password again: the session is fresh."""
        return self.keep(self.post("/v1/auth/reauthenticate", json={"password": self.password}))

    def logout(self) -> TestResponse:
        return self.delete("/v1/auth/logout")

    def get(self, path: str, **kwargs: Any) -> TestResponse:
        return self.signed_in("GET", path, **kwargs)

    def post(self, path: str, **kwargs: Any) -> TestResponse:
        return self.signed_in("POST", path, **kwargs)

    def put(self, path: str, **kwargs: Any) -> TestResponse:
        return self.signed_in("PUT", path, **kwargs)

    def patch(self, path: str, **kwargs: Any) -> TestResponse:
        return self.signed_in("PATCH", path, **kwargs)

    def delete(self, path: str, **kwargs: Any) -> TestResponse:
        return self.signed_in("DELETE", path, **kwargs)

    def signed_in(self, method: str, path: str, **kwargs: Any) -> TestResponse:
        """Call with the access token, the way this delivery presents it."""
        return self.request(method, path, token=self.access_token, **kwargs)

    def request(self, method: str, path: str, *, token: str | None = None, **kwargs: Any) -> TestResponse:
        headers = dict(kwargs.pop("headers", {}))
        if token:
            headers.setdefault("Authorization", f"Bearer {token}")
        return self.client.open(path, method=method, headers=headers, **kwargs)

    @property
    def id(self) -> str:
        found = self.get("/v1/users/me").json
        assert found
        return str(found["id"])


class Hybrid(Bearer):
    """Delivery `hybrid`: the access token in the header, the refresh token in a cookie that only the browser can read."""

    delivery = "hybrid"

    def csrf(self) -> dict[str, str]:
        return {CSRF_HEADER: self.csrf_token} if self.csrf_token else {}

    def refresh(self) -> TestResponse:
        return self.keep(self.request("POST", "/v1/auth/refresh", headers=self.csrf()))


class Browser(Hybrid):
    """Delivery `cookie`: both tokens in cookies, and the CSRF header on everything that changes something."""

    delivery = "cookie"

    def signed_in(self, method: str, path: str, **kwargs: Any) -> TestResponse:
        headers = {**self.csrf(), **kwargs.pop("headers", {})}
        return self.request(method, path, headers=headers, **kwargs)


class Operator:
    """Somebody who may see metrics: asks at the port that an app has for them."""

    def __init__(self, app: Flask) -> None:
        self.client = Client(listener.application(app))

    def metrics(self) -> str:
        answer = self.client.get("/metrics")
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, listener.CONTENT_TYPE)
        return answer.text

    def ready(self) -> TestResponse:
        """Whether the app is ready, part by part."""
        return self.client.get("/ready")
