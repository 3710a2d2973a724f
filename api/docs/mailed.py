"""The pages behind mailed links, for where the settings name no page of the operator's: they work as soon as Keycard runs."""

from flask import Response

from .pages import html, look, static_file

VERIFY_PAGE, RESET_PAGE, UNDO_PAGE = "/verify-email", "/reset-password", "/undo-email-change"


@look.get("/static/mailed.js")
def script() -> Response:
    return static_file("mailed.js")


@look.get(VERIFY_PAGE)
def verify_email() -> Response:
    return html("mailed.html", title="Confirm your e-mail address")


@look.get(RESET_PAGE)
def reset_password() -> Response:
    return html("mailed.html", title="Choose a new password")


@look.get(UNDO_PAGE)
def undo_email_change() -> Response:
    return html("mailed.html", title="Undo a change of address")
