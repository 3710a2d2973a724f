"""The key set on the wire (RFC 7517)."""

from marshmallow import fields

from ..http import Schema


class JwkSchema(Schema):
    """A public signing key."""

    kty = fields.String(required=True, metadata={"description": "Key type.", "example": "OKP"})
    use = fields.String(required=True, metadata={"description": "What it is for: signatures.", "example": "sig"})
    alg = fields.String(required=True, metadata={"description": "The one algorithm it may be used with.", "example": "EdDSA"})
    kid = fields.String(
        required=True,
        metadata={"description": "RFC 7638 thumbprint.", "example": "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"},
    )
    crv = fields.String(metadata={"description": "Curve, for EdDSA.", "example": "Ed25519"})
    x = fields.String(
        metadata={"description": "Public key, for EdDSA.", "example": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
    )
    n = fields.String(metadata={"description": "Modulus, for RS256."})
    e = fields.String(metadata={"description": "Exponent, for RS256."})


class JwksSchema(Schema):
    """The keys that verify this service's tokens."""

    keys = fields.List(fields.Nested(JwkSchema), required=True, metadata={"description": "Newest first; empty with HS256."})
