"""The audit log: what happened to accounts, when, by whom and from where; no secrets, and it outlives the accounts.

Owns the table `audit_events`. Whoever changes something records it in the same transaction.
"""

from .listing import list_events, list_own_events
from .models import EVENT_TYPES, AuditEvent
from .record import event, forget_devices, record, recording
from .schemas import EventPageSchema, EventQuery

__all__ = [
    "EVENT_TYPES",
    "AuditEvent",
    "EventPageSchema",
    "EventQuery",
    "event",
    "forget_devices",
    "list_events",
    "list_own_events",
    "record",
    "recording",
]
