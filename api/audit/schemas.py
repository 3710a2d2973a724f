"""Events on the wire."""

from typing import Any

from marshmallow import fields, validate

from ..http import PageQuery, Schema, page_of
from ..http.schemas import UUID, Timestamp
from .models import EVENT_TYPES

BOUNDED = {"maxLength": Timestamp.LONGEST}
USER = "7c1b2a2e-8c1d-4c55-9b0e-5d8f6a7b9c01"


class EventType(fields.String):
    """What happened."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            validate=validate.OneOf(EVENT_TYPES), metadata={"description": "What happened.", "example": "signed_in"}, **kwargs
        )


class EventSchema(Schema):
    """Something that happened to an account."""

    id = UUID(
        required=True,
        metadata={"description": "The id of the event; it never changes.", "example": "3f0c5a1e-5b1f-4a57-9f6e-0f7f3c9c1a11"},
    )
    type = fields.String(
        required=True,
        metadata={
            "description": "What happened: a value of the parameter `type` of `list_events`. Later versions may add more.",
            "example": "signed_in",
        },
    )
    created_at = Timestamp(
        required=True, metadata={"description": "When it happened.", "example": "2026-11-22T09:30:00.123456+00:00"}
    )
    user_id = UUID(
        required=True,
        allow_none=True,
        attribute="subject_id",
        metadata={"description": "The account that it happened to; null if there is no such account.", "example": USER},
    )
    actor_id = UUID(
        required=True,
        allow_none=True,
        metadata={"description": "The user who did it; null for the command line, and if nobody was signed in.", "example": USER},
    )
    session_id = UUID(
        required=True,
        allow_none=True,
        metadata={
            "description": "The session that it happened to, or else the session of the request.",
            "example": "0d9f7b0c-5a34-4c4c-8d3a-3a1f5a8f1c11",
        },
    )
    ip_address = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "The IP address that the request came from.", "example": "192.0.2.7"},
    )
    user_agent = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "The User-Agent header of the request.", "example": "curl/8.11.0"},
    )
    detail = fields.String(
        required=True, allow_none=True, metadata={"description": "More about the event, in a few words.", "example": "body"}
    )


class EventQuery(PageQuery):
    """Which events."""

    user_id = UUID(metadata={"description": "Only events of this user.", "example": USER})
    type = EventType()
    since = Timestamp(
        metadata={"description": "Only events at this time or later.", "example": "2026-11-01T00:00:00+00:00", "schema": BOUNDED}
    )
    until = Timestamp(
        metadata={"description": "Only events before this time.", "example": "2126-12-01T00:00:00+00:00", "schema": BOUNDED}
    )


EventPageSchema = page_of(EventSchema, "EventPage")
