"""OpenAPI links: where a client can go from an answer, for readers, generators and the stateful tests alike.

A link passes on ids and bodies, never a token: who calls is said by `security`, and schemathesis 4.32 takes a token that a link
carries into a run without credentials for a guessed one (its check ignored_auth).
"""

from typing import Any


def link(operation_id: str, description: str, *, body: Any = None, **parameters: str) -> dict[str, Any]:
    """Describe one link. parameters: as in the OpenAPI Link object, by name or by `in` and name."""
    found: dict[str, Any] = {"operationId": operation_id, "description": description}
    if parameters:
        found["parameters"] = parameters
    return found if body is None else found | {"requestBody": body}
