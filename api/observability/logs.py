"""Logs: one line for each request and each event, JSON in production, for people in development.

Our own lines and those of every library take the same way: `logging`, one handler, one line in one write to standard error. The
lines of requests skip `logging`, because there is one of them in every request.
"""

import json
import logging
import os
from collections.abc import Callable, MutableMapping
from contextlib import suppress
from typing import Any

import orjson
import structlog
from flask import g, has_request_context

from ..config import Settings
from ..problems import request_id
from ..source import frames

STANDARD_ERROR = 2
Event = MutableMapping[str, Any]


def write(line: bytes) -> None:
    """Write a line at once. A short one is never torn apart, whoever else writes, so nobody has to wait for a lock."""
    with suppress(OSError):  # nobody reads: no reason to refuse a request
        while line:
            line = line[os.write(STANDARD_ERROR, line) :]


class LineHandler(logging.Handler):
    """Writes what comes from `logging`."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            write(self.format(record).encode(errors="backslashreplace") + b"\n")
        except Exception:
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the library's name
        """The original would print the arguments."""
        write(f"a line of {record.name} could not be written ({record.filename}:{record.lineno})\n".encode())


def configure(settings: Settings) -> None:
    """Send the log of this process through our handler, in the format that the settings choose. Done again, it is done anew.

    Libraries are heard from `warning` on, whatever the level: SQLAlchemy, for one, tells parameters below that.
    """
    renderer = _json_text if is_json(settings) else _console()
    handler = LineHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_log_level, structlog.stdlib.add_logger_name, _bind_request, _timestamp],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_exceptions(settings), renderer],
        )
    )
    handler.addFilter(_is_no_request_of_werkzeug)
    handler.addFilter(_is_no_advice_of_granian)
    root = logging.getLogger()
    for old in [each for each in root.handlers if isinstance(each, LineHandler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    logging.getLogger("keycard").setLevel(settings.log_level.upper())


def _is_no_request_of_werkzeug(record: logging.LogRecord) -> bool:
    """The server of `keycard run` would tell every request again, with the address as it came, query and all."""
    return not (record.name == "werkzeug" and " - - [" in str(record.msg))


def _is_no_advice_of_granian(record: logging.LogRecord) -> bool:
    """Granian has opinions on how many threads and processes there should be; ours are measured."""
    return not (record.name == "_granian" and "CPU cores available" in str(record.msg))


def granian_config() -> dict[str, Any]:
    """Granian's own lines go the way of all others. (It takes a `logging.config` dictionary, and sets the level itself.)"""
    return {"formatters": {}, "handlers": {}, "loggers": {"_granian": {"propagate": True}, "granian.access": {"propagate": True}}}


def request_lines(settings: Settings) -> Callable[..., None]:
    """What writes the line of a request: `tell(level, status=200, ...)`. The fields must be complete and harmless.

    structlog's processors are called without its loggers, which do more than they.
    """
    render = _json if is_json(settings) else _encoded(_console())
    levels = logging.getLevelNamesMapping()
    least = levels[settings.log_level.upper()]

    def tell(level: str, **fields: Any) -> None:
        if levels[level.upper()] >= least:
            write(render(None, level, _timestamp(None, level, {**fields, "event": "request", "level": level})))

    return tell


def is_json(settings: Settings) -> bool:
    """Whether lines are for programs."""
    return (settings.log_format or ("json" if settings.production else "console")) == "json"


def _console() -> Callable[..., str]:
    render = structlog.dev.ConsoleRenderer(
        colors=os.isatty(STANDARD_ERROR), pad_event_to=0, exception_formatter=structlog.dev.plain_traceback
    )
    return lambda logger, method, event: render(logger, method, {key: each for key, each in event.items() if each is not None})


def _encoded(renderer: Callable[..., str]) -> Callable[..., bytes]:
    return lambda *args: renderer(*args).encode(errors="backslashreplace") + b"\n"


_timestamp = structlog.processors.TimeStamper(fmt="iso", utc=True)


def _json(_logger: Any, _method: str, event: Event) -> bytes:
    try:
        return orjson.dumps(event, default=str, option=orjson.OPT_APPEND_NEWLINE)
    except TypeError:  # what JSON can say and orjson cannot: lone surrogates, huge numbers
        return json.dumps(event, default=str).encode() + b"\n"


def _json_text(logger: Any, method: str, event: Event) -> str:
    return _json(logger, method, event)[:-1].decode()


def _bind_request(_logger: Any, _method: str, event: Event) -> Event:
    """Say during which request it happened."""
    if has_request_context():
        event["request_id"] = request_id()
        if "trace_id" in g:
            event["trace_id"] = g.trace_id
    return event


def _exceptions(settings: Settings) -> list[Callable[..., Any]]:
    """In production an exception is told without its message, which can hold anything: a value that a driver did not like, a
    line of a file."""
    if settings.production:
        return [_tell_harmlessly]
    return [structlog.processors.format_exc_info] if is_json(settings) else []


def _tell_harmlessly(_logger: Any, _method: str, event: Event) -> Event:
    found = event.pop("exc_info", None)
    error = found[1] if isinstance(found, tuple) else found
    if isinstance(error, BaseException):
        chain = _chain(error)
        event["exception"] = " from ".join(_kind(each) for each in chain)
        event["frames"] = _frames(error)
    event.pop("stack", None)
    return event


def _chain(error: BaseException) -> list[BaseException]:
    found: list[BaseException] = []
    following: BaseException | None = error
    while following and following not in found and len(found) < 8:
        found.append(following)
        following = following.__cause__ or (None if following.__suppress_context__ else following.__context__)
    return found


def _kind(error: BaseException) -> str:
    return f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins.")


def _frames(error: BaseException) -> list[str]:
    """Where it happened: the frames of code that is not a library's, and the last one."""
    found = frames(error)
    shown = [each for each in found if each.is_ours or each is found[-1]]
    return [f"{each.place} {each.function}" for each in shown[-20:]]
