"""Load on a server: `wrk` with one script for every operation, on the core that the server does not have."""

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SCRIPT = Path(__file__).parent / "load.lua"
CONNECTIONS = 16


@dataclass(frozen=True)
class Request:
    """One kind of request. VALUE in a header, the path or the body is replaced by one of its values.

    values: which of a target's values it takes: names, tokens... mode: how, as load.lua says. status: of a good answer.
    take: a Lua pattern that captures the next value from an answer.
    """

    method: str
    path: str
    values: str
    headers: dict[str, str] = field(default_factory=dict)
    body: str | None = None
    mode: str = "cycle"
    status: int = 200
    take: str | None = None

    def filled(self, value: str) -> dict[str, Any]:
        """The arguments for `httpx.request`."""
        headers = {name: text.replace("VALUE", value) for name, text in self.headers.items()}
        body = self.body.replace("VALUE", value) if self.body is not None else None
        return {"method": self.method, "url": self.path.replace("VALUE", value), "headers": headers, "content": body}


@dataclass(frozen=True)
class Load:
    """What a run of wrk saw."""

    requests: int
    microseconds: int
    status_errors: int
    socket_errors: int
    timeouts: int
    exhausted: int
    refused_politely: int
    refused_rudely: int
    p50_us: int
    p99_us: int

    @property
    def per_second(self) -> float:
        return self.requests / self.microseconds * 1e6

    def faults(self, *, refusal_expected: bool) -> list[str]:
        """Whatever makes the figure of this run worthless. refusal_expected: a good answer has a status of 400 or more."""
        unexpected = self.requests - self.status_errors if refusal_expected else self.status_errors
        counted = {"no answers": self.requests == 0, "unexpected statuses": unexpected, "connection errors": self.socket_errors,
                   "timeouts": self.timeouts, "values used twice": self.exhausted}  # fmt: skip
        return [f"{int(count)} {name}" for name, count in counted.items() if count]


def drive(
    request: Request,
    base_url: str,
    values: Sequence[str],
    *,
    seconds: float,
    core: int,
    folder: Path,
    connections: int = CONNECTIONS,
    taken: Path | None = None,
    count_refusals: bool = False,
) -> Load:
    """Load a server for some seconds. taken: a file for what `request.take` captures, instead of sending it next."""
    (folder / "values").write_text("\n".join(values) + "\n")
    plan = {name: getattr(request, name) for name in ("method", "path", "headers", "body", "mode", "take")}
    plan |= {"values": folder / "values", "taken": taken, "count": count_refusals}
    (folder / "plan.lua").write_text(f"return {as_lua(plan)}\n")
    whole = max(1, round(seconds))  # wrk knows only whole seconds
    done = subprocess.run(
        ["taskset", "-c", str(core), "wrk", "-t1", f"-c{connections}", f"-d{whole}s", "--timeout", "30s", "-s", SCRIPT, base_url,
         "--", str(folder / "plan.lua")],
        capture_output=True, text=True, check=False, timeout=whole + 60,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(done.stdout + done.stderr)
    return Load(**json.loads(done.stdout.strip().splitlines()[-1]))


def as_lua(value: Any) -> str:
    """A Lua literal of texts, truth values, and dicts of them; nothing for None."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        members = (f"[{as_lua(name)}]={as_lua(member)}" for name, member in value.items() if member is not None)
        return "{" + ", ".join(members) + "}"
    escaped = str(value).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
