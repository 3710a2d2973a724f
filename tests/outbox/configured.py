"""What the tests of letters and senders need of an app, which is its settings; and how to read a mail."""

from email.message import EmailMessage
from pathlib import Path

from flask import Flask
from flask.ctx import AppContext

from api.config import Settings


def configured(folder: Path, **settings: str) -> AppContext:
    """The context of an app that has nothing but settings."""
    app = Flask("mail")
    app.config["SETTINGS"] = Settings(instance_path=str(folder), **settings)
    return app.app_context()


def text_of(mail: EmailMessage) -> str:
    """The text of a mail for those who see no HTML, with the line ends of Python."""
    body = mail.get_body(("plain",))
    assert body
    return str(body.get_content()).replace("\r\n", "\n")
