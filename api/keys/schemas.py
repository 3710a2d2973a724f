"""The key set on the wire (RFC 7517)."""

from marshmallow import fields

from ..http import Schema


class JwkSchema(Schema):
    """A public signing key."""

    kty = fields.String(required=True, metadata={"description": "The type of the key.", "example": "OKP"})
    use = fields.String(required=True, metadata={"description": "The use of the key: signatures.", "example": "sig"})
    alg = fields.String(
        required=True, metadata={"description": "The algorithm of the key, the only one to accept with it.", "example": "EdDSA"}
    )
    kid = fields.String(
        required=True,
        metadata={
            "description": "The id of the key: its thumbprint (RFC 7638).",
            "example": "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
        },
    )
    crv = fields.String(metadata={"description": "The curve, with EdDSA.", "example": "Ed25519"})
    x = fields.String(
        metadata={"description": "The public key, with EdDSA.", "example": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
    )
    n = fields.String(metadata={"description": "The modulus, with RS256."})
    e = fields.String(metadata={"description": "The exponent, with RS256."})


class JwksSchema(Schema):
    """The keys that verify this service's tokens."""

    keys = fields.List(
        fields.Nested(JwkSchema), required=True, metadata={"description": "The keys, newest first; empty with HS256."}
    )
