"""The server metadata (RFC 8414): from the issuer alone to the keys."""

from urllib.parse import urlsplit

import jwt
import pytest
from flask import Flask

from tests.actors import Bearer

METADATA = "/.well-known/oauth-authorization-server"
ISSUER = "https://auth.example.com"


@pytest.fixture(scope="module")
def https_app(new_app) -> Flask:
    return new_app(public_url=ISSUER)


def test_the_issuer_is_the_public_url_and_that_of_every_token(https_app: Flask) -> None:
    """RFC 8414, section 3.3: it must be identical to the URL that the metadata was found under."""
    person = Bearer(https_app).join()
    assert person.get(METADATA).json["issuer"] == ISSUER
    for token in (person.access_token, person.refresh_token):
        assert jwt.decode(token, options={"verify_signature": False})["iss"] == ISSUER


def test_a_library_finds_the_keys_and_verifies_a_token_with_them(https_app: Flask) -> None:
    """Another service needs no secret and nothing but the issuer."""
    person = Bearer(https_app).join()
    metadata = person.get(METADATA).json
    found = Bearer(https_app).get(urlsplit(metadata["jwks_uri"]).path)
    assert found.status_code == 200
    keys = {key["kid"]: jwt.PyJWK(key) for key in found.json["keys"]}
    key = keys[jwt.get_unverified_header(person.access_token)["kid"]]
    claims = jwt.decode(person.access_token, key, algorithms=["EdDSA"], issuer=metadata["issuer"], audience=metadata["issuer"])
    assert claims["sub"] == person.id


def test_every_address_lies_under_the_issuer(https_app: Flask) -> None:
    metadata = Bearer(https_app).get(METADATA).json
    for name in ("jwks_uri", "service_documentation"):
        assert metadata[name].startswith(f"{ISSUER}/")
        assert Bearer(https_app).get(urlsplit(metadata[name]).path).status_code == 200


def test_nothing_is_promised_that_is_not_there(app: Flask) -> None:
    """No authorization endpoint and no token endpoint: no response types, no grants."""
    metadata = Bearer(app).get(METADATA).json
    assert (metadata["response_types_supported"], metadata["grant_types_supported"]) == ([], [])
    assert not {"authorization_endpoint", "token_endpoint", "registration_endpoint"} & set(metadata)


def test_the_host_header_does_not_change_what_is_said(https_app: Flask) -> None:
    """Otherwise a cache could be made to send people's libraries to other keys."""
    answer = Bearer(https_app).get(METADATA, headers={"Host": "evil.example", "X-Forwarded-Host": "evil.example"})
    assert "evil" not in answer.text


def test_the_metadata_may_be_kept_for_a_while(app: Flask) -> None:
    assert Bearer(app).get(METADATA).headers["Cache-Control"] == "public, max-age=3600"
