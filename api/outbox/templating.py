"""The templates, in text and HTML. Links are made from the settings, never from a request."""

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from ..config import settings

_environment = Environment(
    loader=PackageLoader("api.outbox"),
    autoescape=select_autoescape(["html"]),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)


def render(template: str, **values: object) -> tuple[str, str, str]:
    """Return subject, text and HTML. The subject is the first line of `<template>.txt`; `service` is the public URL.

    Raises jinja2.TemplateNotFound, and jinja2.UndefinedError for a value that is missing.
    """
    values = {"service": settings().public_url, **values}
    subject, _, text = _environment.get_template(f"{template}.txt").render(values).partition("\n")
    html = _environment.get_template(f"{template}.html").render({"subject": subject, **values})
    return subject.strip(), text.lstrip("\n"), html


def link(page: str | None, own_page: str, token: str) -> str:
    """The address of a page that reads a token from its fragment, which no server and no Referer header gets to see.

    page: a setting. own_page: the path of a page of this service, for when it is not set.
    """
    return f"{page or settings().public_url + own_page}#token={token}"
