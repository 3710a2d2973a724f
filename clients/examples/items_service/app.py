"""Items for whoever is signed in at Keycard. No database, no shared secret, and no call to Keycard per request.

KEYCARD_URL is Keycard's public URL. ITEMS_REDIS_URL, if set, is the Redis that it writes revocations to.
"""

import os

from flask import Flask, g
from keycard_client.flask import guard
from keycard_client.verify import Verifier

app = Flask(__name__)
keycard = Verifier(os.environ["KEYCARD_URL"], redis_url=os.environ.get("ITEMS_REDIS_URL"))


@app.get("/items")
@guard(keycard)
def list_items() -> dict[str, object]:
    return {"buyer": g.caller.user_id, "items": [{"name": "Lamp"}]}


@app.get("/stock")
@guard(keycard, roles=["clerk"])
def list_stock() -> dict[str, object]:
    return {"items": [{"name": "Lamp"}, {"name": "Ladder"}]}
