from http import HTTPStatus
from typing import Any
from urllib.parse import quote
from uuid import UUID

import httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.admin_user import AdminUser
from ...models.roles_request import RolesRequest
from ...types import Response


def _get_kwargs(
    user_id: UUID,
    *,
    body: RolesRequest,
) -> dict[str, Any]:
    headers: dict[str, Any] = {}

    _kwargs: dict[str, Any] = {
        "method": "put",
        "url": "/v1/admin/users/{user_id}/roles".format(
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
    body: RolesRequest,
) -> Response[AdminUser]:
    """Set the roles of a user

     Takes effect at once: access tokens with the old roles stop working, and a refresh returns one with
    the new roles. You
    cannot give or take a role that you do not hold, or take the role `admin` from yourself. The user
    gets a mail.

    Args:
        user_id (UUID):
        body (RolesRequest):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[AdminUser]
    """

    kwargs = _get_kwargs(
        user_id=user_id,
        body=body,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    user_id: UUID,
    *,
    client: AuthenticatedClient,
    body: RolesRequest,
) -> AdminUser | None:
    """Set the roles of a user

     Takes effect at once: access tokens with the old roles stop working, and a refresh returns one with
    the new roles. You
    cannot give or take a role that you do not hold, or take the role `admin` from yourself. The user
    gets a mail.

    Args:
        user_id (UUID):
        body (RolesRequest):

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
    ).parsed


async def asyncio_detailed(
    user_id: UUID,
    *,
    client: AuthenticatedClient,
    body: RolesRequest,
) -> Response[AdminUser]:
    """Set the roles of a user

     Takes effect at once: access tokens with the old roles stop working, and a refresh returns one with
    the new roles. You
    cannot give or take a role that you do not hold, or take the role `admin` from yourself. The user
    gets a mail.

    Args:
        user_id (UUID):
        body (RolesRequest):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[AdminUser]
    """

    kwargs = _get_kwargs(
        user_id=user_id,
        body=body,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    user_id: UUID,
    *,
    client: AuthenticatedClient,
    body: RolesRequest,
) -> AdminUser | None:
    """Set the roles of a user

     Takes effect at once: access tokens with the old roles stop working, and a refresh returns one with
    the new roles. You
    cannot give or take a role that you do not hold, or take the role `admin` from yourself. The user
    gets a mail.

    Args:
        user_id (UUID):
        body (RolesRequest):

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
        )
    ).parsed
