"""What was promised of the figures, and whether it holds. A promise is reported; it fails nothing."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Results = Mapping[str, Any]


@dataclass(frozen=True)
class Promise:
    """A figure with a limit. at_least: whether more is better. figure: from the results; KeyError where it was not measured."""

    text: str
    limit: float
    at_least: bool
    figure: Callable[[Results], float]

    def verdict(self, results: Results) -> dict[str, Any]:
        """The figure beside its limit; `holds` is None where it was not measured."""
        try:
            found = self.figure(results)
        except (KeyError, ZeroDivisionError):
            return {"promise": self.text, "limit": self.limit, "at_least": self.at_least, "figure": None, "holds": None}
        holds = found >= self.limit if self.at_least else found <= self.limit
        return {"promise": self.text, "limit": self.limit, "at_least": self.at_least, "figure": round(found, 3), "holds": holds}


def median(results: Results, operation: str, target: str, name: str) -> float:
    """Raises KeyError where it was not measured."""
    return float(results["operations"][operation][target][name]["median"])


def _faster(operation: str, other: str, limit: float) -> Promise:
    def figure(results: Results) -> float:
        return median(results, operation, "keycard", "per_second") / median(results, operation, other, "per_second")

    return Promise(f"{operation}: throughput, times {other}", limit, at_least=True, figure=figure)


def _cpu_of_bare(results: Results) -> float:
    return median(results, "get_me", "keycard", "cpu_us") / median(results, "get_me", "bare Flask", "cpu_us")


def _of_the_raw_rate(results: Results) -> float:
    """Against the faster of the raw hashers: whatever helps the server must be allowed to the hasher too."""
    hashers = [name for name in results["operations"]["login_real"] if name.startswith("raw hasher")]
    best = max((median(results, "login_real", name, "per_second") for name in hashers), default=0.0)
    return median(results, "login_real", "keycard", "per_second") / best


PROMISES = (
    _faster("get_me", "fastapi-users", 4),
    _faster("get_me", "tutorial", 2.2),
    Promise("get_me: CPU, times bare Flask", 4.5, at_least=False, figure=_cpu_of_bare),
    _faster("bad_token", "tutorial", 2),
    *(_faster(operation, other, limit) for operation in ("refresh", "logout")
      for other, limit in (("tutorial", 1.2), ("djoser", 4.0), ("allauth", 4.0))),
    _faster("register", "fastapi-users", 2),
    _faster("login", "fastapi-users", 2),
    Promise("login_real: throughput, share of the raw hash rate", 0.95, at_least=True, figure=_of_the_raw_rate),
    Promise("peak memory of a worker outside hashing, MiB", 120, at_least=False,
            figure=lambda results: float(results["memory"]["keycard"]["cheap"]["worker_mib"])),
    *(Promise(f"{env}: start to the first 200 of {path}, seconds", 1.0, at_least=False,
              figure=lambda results, env=env, path=path: float(results["start"][env][path]))  # type: ignore[misc]
      for env in ("development", "production") for path in ("/health/live", "/health/ready")),
    Promise("get_me: p99 under a flood of sign-ins, times idle", 5, at_least=False,
            figure=lambda results: float(results["flood"]["p99_ratio"])),
    Promise("flood: 503 answers without Retry-After", 0, at_least=False,
            figure=lambda results: float(results["flood"]["refused_without_retry_after"])),
)  # fmt: skip


def verdicts(results: Results) -> list[dict[str, Any]]:
    """Every promise, held or not or not measured."""
    return [promise.verdict(results) for promise in PROMISES]
