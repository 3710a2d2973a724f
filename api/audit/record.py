"""Writing the log, and taking personal data out of it."""

import uuid
from typing import Any

from sqlalchemy import and_, or_, update

from .. import clock
from ..database import transaction
from ..http.device import device
from ..prepared import Adding
from .models import EVENT_TYPES, AuditEvent


def record(
    type_: str,
    subject_id: uuid.UUID | None,
    *,
    actor_id: uuid.UUID | None = None,
    session_id: uuid.UUID | None = None,
    detail: str | None = None,
) -> None:
    """Write an event in the caller's transaction: it is remembered exactly if what it tells has happened.

    type_: one of EVENT_TYPES. detail: a few words without secrets and without anything that names a person.
    """
    if type_ not in EVENT_TYPES:
        raise ValueError(f"{type_} is not among the types of events")
    with transaction() as session:
        session.add(
            AuditEvent(type=type_, subject_id=subject_id, actor_id=actor_id, session_id=session_id, detail=detail, **device())
        )


def recording(**parameters: str) -> Adding:
    """The same as a step of a Change, to whose parameters `event` adds what it needs.

    parameters: the names of those that hold `subject_id`, and where there are such `actor_id`, `session_id` and `detail`.
    """
    return Adding(AuditEvent, {name: f"event_{name}" for name in _OF_ITS_OWN} | parameters)


def event(type_: str) -> dict[str, Any]:
    """The parameters of a Change that are its event's alone."""
    return {
        "event_id": uuid.uuid4(),
        "event_type": type_,
        "event_created_at": clock.now(),
        **{f"event_{name}": value for name, value in device().items()},
    }


_OF_ITS_OWN = ("id", "type", "created_at", "ip_address", "user_agent")


def forget_devices(user_id: uuid.UUID) -> None:
    """Take addresses and browsers out of everything that a user did or that was done to their account."""
    # In the words of the index ix_audit_events_by_others.
    to_others = and_(AuditEvent.actor_id == user_id, AuditEvent.actor_id.is_distinct_from(AuditEvent.subject_id))
    with transaction() as session:
        session.execute(
            update(AuditEvent)
            .where(or_(AuditEvent.subject_id == user_id, to_others))
            .values(ip_address=None, user_agent=None)
            .execution_options(synchronize_session=False)
        )
