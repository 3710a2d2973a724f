"""The floor: one Flask view that answers a small JSON."""

from flask import Flask

app = Flask(__name__)


@app.get("/me")
def me() -> dict[str, object]:
    return {"id": "7c1b2a2e-8c1d-4c55-9b0e-5d8f6a7b9c01", "username": "ada", "roles": ["user"]}
