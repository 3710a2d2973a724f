from http import HTTPStatus
from typing import Any

import httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.token_pair import TokenPair
from ...types import Response


def _get_kwargs() -> dict[str, Any]:

    _kwargs: dict[str, Any] = {
        "method": "post",
        "url": "/v1/auth/refresh",
    }

    return _kwargs


def _parse_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> TokenPair | None:
    if response.status_code == 200:
        response_200 = TokenPair.from_dict(response.json())

        return response_200

    if client.raise_on_unexpected_status:
        raise errors.UnexpectedStatus(response.status_code, response.content)
    else:
        return None


def _build_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> Response[TokenPair]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    *,
    client: AuthenticatedClient,
) -> Response[TokenPair]:
    """Exchange a refresh token for a new pair

     A refresh token works once. If you send it again within the grace window (10 seconds by default),
    you get the same new
    pair again, so a lost response or a second tab signs nobody out. If it is sent later, or after the
    new one was used, it
    counts as stolen: the whole session ends, access tokens included. A refresh token that was delivered
    in a cookie is
    accepted only from the cookie.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[TokenPair]
    """

    kwargs = _get_kwargs()

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    *,
    client: AuthenticatedClient,
) -> TokenPair | None:
    """Exchange a refresh token for a new pair

     A refresh token works once. If you send it again within the grace window (10 seconds by default),
    you get the same new
    pair again, so a lost response or a second tab signs nobody out. If it is sent later, or after the
    new one was used, it
    counts as stolen: the whole session ends, access tokens included. A refresh token that was delivered
    in a cookie is
    accepted only from the cookie.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        TokenPair
    """

    return sync_detailed(
        client=client,
    ).parsed


async def asyncio_detailed(
    *,
    client: AuthenticatedClient,
) -> Response[TokenPair]:
    """Exchange a refresh token for a new pair

     A refresh token works once. If you send it again within the grace window (10 seconds by default),
    you get the same new
    pair again, so a lost response or a second tab signs nobody out. If it is sent later, or after the
    new one was used, it
    counts as stolen: the whole session ends, access tokens included. A refresh token that was delivered
    in a cookie is
    accepted only from the cookie.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[TokenPair]
    """

    kwargs = _get_kwargs()

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    *,
    client: AuthenticatedClient,
) -> TokenPair | None:
    """Exchange a refresh token for a new pair

     A refresh token works once. If you send it again within the grace window (10 seconds by default),
    you get the same new
    pair again, so a lost response or a second tab signs nobody out. If it is sent later, or after the
    new one was used, it
    counts as stolen: the whole session ends, access tokens included. A refresh token that was delivered
    in a cookie is
    accepted only from the cookie.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        TokenPair
    """

    return (
        await asyncio_detailed(
            client=client,
        )
    ).parsed
