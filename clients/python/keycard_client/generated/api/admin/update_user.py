from http import HTTPStatus
from typing import Any
from urllib.parse import quote
from uuid import UUID

import httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.admin_user import AdminUser
from ...models.user_change import UserChange
from ...types import UNSET, Response, Unset


def _get_kwargs(
    user_id: UUID,
    *,
    body: UserChange,
    if_match: str | Unset = UNSET,
) -> dict[str, Any]:
    headers: dict[str, Any] = {}
    if not isinstance(if_match, Unset):
        headers["If-Match"] = if_match

    _kwargs: dict[str, Any] = {
        "method": "patch",
        "url": "/v1/admin/users/{user_id}".format(
            user_id=quote(str(user_id), safe=""),
        ),
    }

    _kwargs["json"] = body.to_dict()

    headers["Content-Type"] = "application/json"

    _kwargs["headers"] = headers
    return _kwargs


def _parse_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> AdminUser | None:
    if response.status_code == 200:
        response_200 = AdminUser.from_dict(response.json())

        return response_200

    if client.raise_on_unexpected_status:
        raise errors.UnexpectedStatus(response.status_code, response.content)
    else:
        return None


def _build_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> Response[AdminUser]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    user_id: UUID,
    *,
    client: AuthenticatedClient,
    body: UserChange,
    if_match: str | Unset = UNSET,
) -> Response[AdminUser]:
    """Change a user

     Members that you leave out do not change. A suspension takes effect at once: every session ends, and
    mailed tokens and a
    pending address are withdrawn. When the address changes, the former address gets a mail. You cannot
    suspend yourself or
    the last administrator. You cannot suspend, or change the address of, a user who holds a role that
    you do not hold.

    Args:
        user_id (UUID):
        if_match (str | Unset):
        body (UserChange):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[AdminUser]
    """

    kwargs = _get_kwargs(
        user_id=user_id,
        body=body,
        if_match=if_match,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    user_id: UUID,
    *,
    client: AuthenticatedClient,
    body: UserChange,
    if_match: str | Unset = UNSET,
) -> AdminUser | None:
    """Change a user

     Members that you leave out do not change. A suspension takes effect at once: every session ends, and
    mailed tokens and a
    pending address are withdrawn. When the address changes, the former address gets a mail. You cannot
    suspend yourself or
    the last administrator. You cannot suspend, or change the address of, a user who holds a role that
    you do not hold.

    Args:
        user_id (UUID):
        if_match (str | Unset):
        body (UserChange):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        AdminUser
    """

    return sync_detailed(
        user_id=user_id,
        client=client,
        body=body,
        if_match=if_match,
    ).parsed


async def asyncio_detailed(
    user_id: UUID,
    *,
    client: AuthenticatedClient,
    body: UserChange,
    if_match: str | Unset = UNSET,
) -> Response[AdminUser]:
    """Change a user

     Members that you leave out do not change. A suspension takes effect at once: every session ends, and
    mailed tokens and a
    pending address are withdrawn. When the address changes, the former address gets a mail. You cannot
    suspend yourself or
    the last administrator. You cannot suspend, or change the address of, a user who holds a role that
    you do not hold.

    Args:
        user_id (UUID):
        if_match (str | Unset):
        body (UserChange):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[AdminUser]
    """

    kwargs = _get_kwargs(
        user_id=user_id,
        body=body,
        if_match=if_match,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    user_id: UUID,
    *,
    client: AuthenticatedClient,
    body: UserChange,
    if_match: str | Unset = UNSET,
) -> AdminUser | None:
    """Change a user

     Members that you leave out do not change. A suspension takes effect at once: every session ends, and
    mailed tokens and a
    pending address are withdrawn. When the address changes, the former address gets a mail. You cannot
    suspend yourself or
    the last administrator. You cannot suspend, or change the address of, a user who holds a role that
    you do not hold.

    Args:
        user_id (UUID):
        if_match (str | Unset):
        body (UserChange):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        AdminUser
    """

    return (
        await asyncio_detailed(
            user_id=user_id,
            client=client,
            body=body,
            if_match=if_match,
        )
    ).parsed
