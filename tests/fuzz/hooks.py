"""Who schemathesis is: an account of its own for every case, made through the API like anybody's.

KEYCARD_FUZZ_IDENTITY: `anonymous`, `user`, `admin` or `cookie`. KEYCARD_FUZZ_ADMIN: `name:password` of an administrator, for
`admin`. KEYCARD_FUZZ_TOKENS: a JSON file with mailed tokens, by the operation that takes them. An account for each case, so
that a logout or a changed password does not turn every later case into a 401, and every administrator has a fresh token.
"""

import json
import os
import threading
import uuid
from dataclasses import dataclass
from http.cookies import SimpleCookie
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
    """What one account presents. cookies: by their names."""

    tokens: dict[str, str]
    cookies: dict[str, str]
    csrf_token: str

    @classmethod
    def of(cls, pair: dict[str, Any], set_cookies: list[str]) -> "Credentials":
        """Those of an answer that has a pair of tokens."""
        tokens = {"accessToken": pair.get("access_token", ""), "refreshToken": pair.get("refresh_token", "")}
        cookies = {name: morsel.value for each in set_cookies for name, morsel in SimpleCookie(each).items()}
        return cls(tokens, cookies, pair.get("csrf_token", ""))


class Accounts:
    """Makes accounts. Administrators are made by administrators, as long as these are some themselves."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._client: httpx.Client | None = None
        self._cookie_names: dict[str, str] = {}
        self._owners: dict[str, Credentials] = {}
        name, _, password = os.environ.get("KEYCARD_FUZZ_ADMIN", "").partition(":")
        self._admins = [{"username": name, "password": password}] if name else []
        self._token: str | None = None

    def new(self, base_url: str) -> Credentials:
        client = self._connect(base_url)
        account = {"username": f"fuzz-{uuid.uuid4().hex[:20]}", "password": PASSWORD}
        user = self._post(client, "/v1/auth/register", {**account, "email": f"{account['username']}@example.com"})
        if IDENTITY == "admin":
            self._promote(client, user["id"])
            self._admins.append(account)
        delivery = "cookie" if IDENTITY == "cookie" else "body"
        answer = client.post("/v1/auth/login", json={**account, "delivery": delivery}).raise_for_status()
        client.cookies.clear()
        pair = answer.json()
        made = self._owners[pair["session_id"]] = Credentials.of(pair, answer.headers.get_list("Set-Cookie"))
        return made

    def renew(self, pair: dict[str, Any], set_cookies: list[str]) -> None:
        """Keep the new pair of a session that we know: the old one is dead, or soon will be."""
        if pair["session_id"] in self._owners:
            self._owners[pair["session_id"]] = Credentials.of(pair, set_cookies)

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
        """With the token that worked the last time, while it is fresh and its owner an administrator; else with a new one."""
        if self._makes_admin(client, user_id):
            return
        for admin in reversed(self._admins):
            self._token = client.post("/v1/auth/login", json=admin).json().get("access_token")
            if self._makes_admin(client, user_id):
                return
        raise RuntimeError("no administrator is left who could make another")

    def _makes_admin(self, client: httpx.Client, user_id: str) -> bool:
        headers = {"Authorization": f"Bearer {self._token}"}
        done = client.put(f"/v1/admin/users/{user_id}/roles", json={"roles": ["admin", "user"]}, headers=headers)
        return done.status_code == 200

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
            names = {scheme: ACCOUNTS.cookie_name(kind) for scheme, kind in COOKIES.items() if scheme in schemes}
            named = {name: data.cookies[name] for name in names.values()}
            case.cookies = {**(case.cookies or {}), **named}
            case.headers = {**headers, "X-CSRF-TOKEN": data.csrf_token}
        else:
            scheme = "accessToken" if "accessToken" in schemes else "refreshToken"
            ours = {ACCOUNTS.cookie_name(kind) for kind in COOKIES.values()}
            case.cookies = {name: value for name, value in (case.cookies or {}).items() if name not in ours}
            case.headers = {**headers, "Authorization": f"Bearer {data.tokens[scheme]}"}


@schemathesis.hook
def before_call(_: schemathesis.HookContext, case: schemathesis.Case, __: dict[str, Any]) -> None:
    """Make good cases better than chance does: nobody guesses a mailed token, and a walk needs users whom it has created."""
    name = _name(case)
    if not (case.meta and case.meta.generation.mode == GenerationMode.POSITIVE and isinstance(case.body, dict)):
        return
    if TOKENS.get(name) and "token" in case.body:
        case.body["token"] = TOKENS[name][0]
    if name == "create_user" and case.meta.phase.name.value == "stateful":
        case.body |= {"username": f"fuzz-{uuid.uuid4().hex[:20]}", "roles": ["user"]}
        case.body.pop("password_hash", None)


@schemathesis.hook
def after_call(_: schemathesis.HookContext, case: schemathesis.Case, response: schemathesis.Response) -> None:
    """Put away a mailed token that was used up, and keep the pair of a session that was renewed."""
    waiting = TOKENS.get(_name(case), [])
    if isinstance(case.body, dict) and case.body.get("token") in waiting and _is_used_up(response):
        waiting.remove(case.body["token"])
    if response.status_code == 200 and "session_id" in (pair := _members(response)):
        ACCOUNTS.renew(pair, response.headers.get("set-cookie", []))


def _is_used_up(response: schemathesis.Response) -> bool:
    """Say whether the token of a request is dead now: used, or refused as such, and not for the rest of the request."""
    return response.status_code == 204 or _members(response).get("type", "").endswith("/one-time-token-refused")


def _members(response: schemathesis.Response) -> dict[str, Any]:
    """The members of an answer that is a JSON object; none otherwise."""
    found = response.json() if "json" in "".join(response.headers.get("content-type", [])) else {}
    return found if isinstance(found, dict) else {}


def _name(case: schemathesis.Case) -> str:
    return str(case.operation.definition.raw.get("operationId", ""))


def _schemes(case: schemathesis.Case) -> set[str]:
    """The security schemes that the operation accepts; none for a public one."""
    return {name for alternative in case.operation.definition.raw.get("security", []) for name in alternative}
