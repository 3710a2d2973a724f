"""Who schemathesis is: an account of its own for every case, made through the API like anybody's.

KEYCARD_FUZZ_IDENTITY: `anonymous`, `user`, `admin` or `cookie`. KEYCARD_FUZZ_ADMIN: `name:password` of an administrator, for
`admin`. KEYCARD_FUZZ_TOKENS: a JSON file with mailed tokens, by the operation that takes them. An account for each case, so
that a logout or a changed password does not turn every later case into a 401.
"""

import json
import os
import threading
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import schemathesis
from schemathesis import GenerationMode

IDENTITY = os.environ.get("KEYCARD_FUZZ_IDENTITY", "user")
# The password of the examples in the document, so that the examples of reauthenticate and change_password are good.
PASSWORD = "Correct-Horse-7"
# The account that the example of login names.
EXAMPLE = {"username": "ada", "password": PASSWORD}
TOKENS: dict[str, list[str]] = json.loads(Path(os.environ.get("KEYCARD_FUZZ_TOKENS", os.devnull)).read_text() or "{}")
COOKIES = {"accessCookie": "access", "refreshCookie": "refresh"}


@dataclass(frozen=True)
class Credentials:
    """What one account presents."""

    tokens: dict[str, str]
    cookies: dict[str, str]
    csrf_token: str


class Accounts:
    """Makes accounts. Administrators are made by administrators: the last one made, while it still is one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._client: httpx.Client | None = None
        self._cookie_names: dict[str, str] = {}
        self._owners: dict[str, Credentials] = {}
        name, _, password = os.environ.get("KEYCARD_FUZZ_ADMIN", "").partition(":")
        self._admins = [{"username": name, "password": password}] if name else []

    def new(self, base_url: str) -> Credentials:
        client = self._connect(base_url)
        account = {"username": f"fuzz-{uuid.uuid4().hex[:20]}", "password": PASSWORD}
        user = self._post(client, "/v1/auth/register", {**account, "email": f"{account['username']}@example.com"})
        if IDENTITY == "admin":
            self._promote(client, user["id"])
            self._admins.append(account)
        delivery = "cookie" if IDENTITY == "cookie" else "body"
        answer = client.post("/v1/auth/login", json={**account, "delivery": delivery}).raise_for_status()
        cookies = {name: answer.cookies.get(self._cookie_names[name], "") for name in ("access", "refresh")}
        client.cookies.clear()
        body = answer.json()
        tokens = {"accessToken": body.get("access_token", ""), "refreshToken": body.get("refresh_token", "")}
        made = Credentials(tokens, cookies, body.get("csrf_token", ""))
        self._owners[body["session_id"]] = made
        return made

    def owner_of(self, session_id: object) -> Credentials | None:
        """The account whose sign-in opened this session, so that a link from a list of sessions leads somewhere."""
        return self._owners.get(str(session_id))

    def cookie_name(self, kind: str) -> str:
        return self._cookie_names[kind]

    def _connect(self, base_url: str) -> httpx.Client:
        with self._lock:
            if self._client is None:
                # A connection for each request: the server may close an idle one just when it is used again.
                once = httpx.Limits(max_keepalive_connections=0)
                self._client = httpx.Client(base_url=base_url, timeout=30, trust_env=False, limits=once)
                self._cookie_names = self._client.get("/v1/config").raise_for_status().json()["cookies"]
                self._client.post("/v1/auth/register", json=EXAMPLE)
            return self._client

    def _promote(self, client: httpx.Client, user_id: str) -> None:
        for admin in reversed(self._admins):
            answer = client.post("/v1/auth/login", json=admin)
            headers = {"Authorization": f"Bearer {answer.json().get('access_token')}"}
            done = client.put(f"/v1/admin/users/{user_id}/roles", json={"roles": ["admin", "user"]}, headers=headers)
            if done.status_code == 200:
                return
        raise RuntimeError("no administrator is left who could make another")

    @staticmethod
    def _post(client: httpx.Client, path: str, body: dict[str, str]) -> dict[str, Any]:
        found: dict[str, Any] = client.post(path, json=body).raise_for_status().json()
        return found


ACCOUNTS = Accounts()


@schemathesis.auth(refresh_interval=None)
class NewAccount:
    """Authenticates each case as the identity under test; one that names a session we know, as its owner."""

    def get(self, case: schemathesis.Case, _: schemathesis.AuthContext) -> Credentials | None:
        if IDENTITY == "anonymous" or not _schemes(case):
            return None
        return ACCOUNTS.new(case.operation.base_url or "")

    def set(self, case: schemathesis.Case, data: Credentials, _: schemathesis.AuthContext) -> None:
        data = ACCOUNTS.owner_of((case.path_parameters or {}).get("session_id")) or data
        schemes = _schemes(case)
        headers = {name: value for name, value in (case.headers or {}).items() if name.lower() != "authorization"}
        if IDENTITY == "cookie":
            named = {
                ACCOUNTS.cookie_name(COOKIES[scheme]): data.cookies[COOKIES[scheme]] for scheme in COOKIES if scheme in schemes
            }
            case.cookies = {**(case.cookies or {}), **named}
            case.headers = {**headers, "X-CSRF-TOKEN": data.csrf_token}
        else:
            scheme = "accessToken" if "accessToken" in schemes else "refreshToken"
            ours = {ACCOUNTS.cookie_name(kind) for kind in COOKIES.values()}
            case.cookies = {name: value for name, value in (case.cookies or {}).items() if name not in ours}
            case.headers = {**headers, "Authorization": f"Bearer {data.tokens[scheme]}"}


@schemathesis.hook
def before_call(_: schemathesis.HookContext, case: schemathesis.Case, __: dict[str, Any]) -> None:
    """Nobody guesses a mailed token either: good cases get one while there are any left."""
    waiting = TOKENS.get(case.operation.definition.raw.get("operationId", ""))
    good = case.meta and case.meta.generation.mode == GenerationMode.POSITIVE
    if waiting and good and isinstance(case.body, dict) and "token" in case.body:
        case.body["token"] = waiting.pop()


def _schemes(case: schemathesis.Case) -> set[str]:
    """The security schemes that the operation accepts; none for a public one."""
    return {name for alternative in case.operation.definition.raw.get("security", []) for name in alternative}
