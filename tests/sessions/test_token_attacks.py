"""Attacks on header and signature: none of them needs our key, and none opens a door, whatever algorithm we sign with.

Sources: RFC 8725 section 2, the playbook of jwt_tool, and the advisories on JWT libraries since 2015.
"""

import hashlib
import hmac
import json
import secrets
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from flask import Flask
from jwt.algorithms import OKPAlgorithm

from tests.sessions.test_hostile_tokens import DOORS, Forge, b64, part, refused

Attack = Callable[[Forge, str], str]
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


class _Missing:
    def __repr__(self) -> str:
        return "missing"


MISSING = _Missing()


def unsigned(spelling: str, signature: str) -> Attack:
    def make(forge: Forge, kind: str) -> str:
        text = f"{part(forge.header(kind, alg=spelling))}.{part(forge.claims(kind))}"
        return text + {"none": "", "empty": ".", "theirs": "." + forge.genuine(kind).rpartition(".")[2]}[signature]

    return make


def keyed(secret: Callable[[Forge], bytes], alg: str = "HS256", **changes: Any) -> Attack:
    """Signed with HMAC, by somebody who takes public bytes for the secret (CVE-2015-9235, CVE-2022-29217, CVE-2024-33663)."""

    def make(forge: Forge, kind: str) -> str:
        text = f"{part(forge.header(kind, alg=alg, **changes))}.{part(forge.claims(kind))}"
        return f"{text}.{b64(hmac.digest(secret(forge), text.encode(), getattr(hashlib, 'sha' + alg[2:])))}"

    return make


def public_bytes(encoding: Encoding, form: PublicFormat) -> Callable[[Forge], bytes]:
    return lambda forge: forge.key.signing.public_key().public_bytes(encoding, form)


def raw_key(forge: Forge) -> bytes:
    public = forge.key.signing.public_key()
    if forge.key.algorithm == "RS256":
        return int(public.public_numbers().n).to_bytes(public.key_size // 8, "big")
    return bytes(public.public_bytes(Encoding.Raw, PublicFormat.Raw))


def jwk_text(**how: Any) -> Callable[[Forge], bytes]:
    return lambda forge: json.dumps(dict(forge.key.jwk or {}), **how).encode()


def with_header(**changes: Any) -> Attack:
    """Properly signed over a header that is wrong: what the header says is judged, not only the signature."""

    def make(forge: Forge, kind: str) -> str:
        header = forge.header(kind, **changes)
        return forge.signed({name: value for name, value in header.items() if value is not MISSING}, forge.claims(kind))

    return make


def with_their_key(kid: str, **changes: Any) -> Attack:
    """Signed by a key of the attacker's own, which the header offers (CVE-2018-0114)."""

    def make(forge: Forge, kind: str) -> str:
        key = Ed25519PrivateKey.generate()
        jwk = json.loads(OKPAlgorithm.to_jwk(key.public_key())) | {"kid": "theirs", "alg": "EdDSA"}
        offered = {name: jwk if value == "JWK" else value for name, value in changes.items()}
        header = forge.header(kind, alg="EdDSA", **offered) | ({"kid": "theirs"} if kid == "theirs" else {})
        text = f"{part(header)}.{part(forge.claims(kind))}"
        return f"{text}.{b64(key.sign(text.encode()))}"

    return make


def text(change: Callable[[str], str]) -> Attack:
    """A good token, written a little differently."""
    return lambda forge, kind: change(forge.genuine(kind))


def extra_bits(token: str) -> str:
    """The same signature bytes, with a bit set that no byte uses (RFC 4648, section 3.5)."""
    return token[:-1] + ALPHABET[ALPHABET.index(token[-1]) + 1]


def first_character(token: str) -> str:
    """Another first character of the signature."""
    message, _, signature = token.rpartition(".")
    return f"{message}.{'B' if signature[0] == 'A' else 'A'}{signature[1:]}"


def segments(header: bytes | None = None, payload: Any = MISSING) -> Attack:
    """Signed, with a segment that is not what a JWT has there."""

    def make(forge: Forge, kind: str) -> str:
        claims = forge.claims(kind) if payload is MISSING else payload
        return forge.signed(forge.header(kind) if header is None else header, claims)

    return make


def nested(depth: int, around: bytes) -> bytes:
    return around.replace(b"@", b"[" * depth + b"]" * depth)


def another_kid(forge: Forge, kind: str) -> str:
    others = [each["kid"] for each in forge.published if each["kid"] != forge.key.kid]
    return forge.signed(forge.header(kind, kid=others[0] if others else "hs256-0123456789abcdef"), forge.claims(kind))


ATTACKS: dict[str, Attack] = {
    **{
        f"alg {spelling}, signature {signature}": unsigned(spelling, signature)
        for spelling in ("none", "None", "NONE", "nOnE")
        for signature in ("none", "empty", "theirs")
    },
    **{f"HMAC with {name!r}": keyed(lambda _, raw=name: raw.encode()) for name in ("", "secret", "null")},
    "HMAC with the kid": keyed(lambda forge: forge.key.kid.encode()),
    **{f"alg {alg!r}": with_header(alg=alg)
       for alg in ("", None, 1, ["EdDSA"], "EDDSA", "eddsa", "ES256", "HS512", "PS256", "\ud800")},
    "no alg": with_header(alg=MISSING),
    "no kid": with_header(kid=MISSING),
    **{
        f"kid {str(kid)[:20]!r} {type(kid).__name__}": with_header(kid=kid)
        for kid in (None, [], ["x"], {}, 0, 1.5, True, "", "unknown", "../../../../dev/null", "/dev/null", "\x00", "\ud800",
                    "k" * 4000,
                    "x' UNION SELECT 'AAAA' --", "x;cat /etc/passwd", "http://127.0.0.1:1/key", "%s%n")
    },
    "kid of another key": another_kid,
    "kid of the null device, HMAC with nothing": keyed(lambda _: b"", kid="../../../../dev/null"),
    **{f"{name} offered, kid {kid}": with_their_key(kid, **{name: value})
       for kid in ("ours", "theirs")
       for name, value in (("jwk", "JWK"), ("jku", "http://127.0.0.1:1/jwks.json"), ("x5u", "http://127.0.0.1:1/cert.pem"),
                           ("x5c", ["MIIB"]))},
    **{f"crit {crit!r}": with_header(crit=crit) for crit in (["exp"], ["b64"], ["http://example.com/x"], [], "exp", None, [1])},
    "b64 false": with_header(b64=False),
    "b64 false and crit": with_header(b64=False, crit=["b64"]),
    **{f"typ {typ!r}": with_header(typ=typ)
       for typ in (MISSING, None, 1, [], {}, "", "JWT", "jwt", "AT+JWT", "application/at+jwt", "at+jwt ", "\ud800")},
    "typ of the other kind": lambda forge, kind: with_header(typ={"access": "rt+jwt", "refresh": "at+jwt"}[kind])(forge, kind),
    "signature cut": text(lambda token: token[:-4]),
    "signature cut by one": text(lambda token: token[:-1]),
    "signature gone": text(lambda token: token.rpartition(".")[0] + "."),
    "only two segments": text(lambda token: token.rpartition(".")[0]),
    "four segments": text(lambda token: token + ".AAAA"),
    "five segments": text(lambda token: token + ".AAAA.AAAA"),
    "first character of the signature changed": text(first_character),
    "padded": text(lambda token: token + "="),
    "padded twice": text(lambda token: token + "=="),
    "header padded": text(lambda token: token.replace(".", "=.", 1)),
    "extra bits": text(extra_bits),
    "other base64 alphabet": text(lambda token: token + "+/"),
    "trailing dot": text(lambda token: token + "."),
    "leading dot": text(lambda token: "." + token),
    "twice": text(lambda token: f"{token}.{token}"),
    "upper case": text(str.upper),
    "huge": text(lambda token: token + "A" * 9000),
    "very huge": text(lambda token: token + "A" * 1_000_000),
    "huge and signed": lambda forge, kind: forge.signed(forge.header(kind), forge.claims(kind, pad="A" * 9000)),
    **{f"header {raw[:9]!r}": segments(header=raw)
       for raw in (b"", b"[]", b"null", b"1", b'"x"', b"true", b"{", b"\xff\xfe", b"{}", b'\xef\xbb\xbf{"alg":"EdDSA"}', b"NaN")},
    "header nested 2900 deep": segments(header=nested(2900, b'{"alg":"EdDSA","kid":@}')),
    "header of 4500 digits": segments(header=b'{"alg":"EdDSA","kid":' + b"9" * 4500 + b"}"),
    **{f"payload {raw[:9]!r}": segments(payload=raw)
       for raw in (b"", b"[]", b"null", b"1", b'"x"', b"true", b"{", b"\xff\xfe", b"{}", b"NaN", b"9" * 4500)},
    "payload nested 2700 deep": segments(payload=nested(2700, b'{"sub":@}')),
}  # fmt: skip

CONFUSIONS: dict[str, Attack] = {
    "JWK": keyed(jwk_text()),
    "JWK compact": keyed(jwk_text(separators=(",", ":"))),
    "JWK sorted": keyed(jwk_text(sort_keys=True, separators=(",", ":"))),
    "PEM": keyed(public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)),
    "PEM stripped": keyed(lambda forge: public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)(forge).strip()),
    "DER": keyed(public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)),
    "OpenSSH": keyed(public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)),
    "raw": keyed(raw_key),
    "raw, base64": keyed(lambda forge: b64(raw_key(forge)).encode()),
    "PEM, HS384": keyed(public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), "HS384"),
    "PEM, HS512": keyed(public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), "HS512"),
}
SETTINGS: dict[str, dict[str, str]] = {
    "EdDSA": {},
    "RS256": {"jwt_algorithm": "RS256"},
    "HS256": {"jwt_algorithm": "HS256", "jwt_secret": secrets.token_urlsafe(48)},
}


@pytest.fixture(scope="module")
def forges(new_app: Callable[..., Flask]) -> dict[str, Forge]:
    return {algorithm: Forge(new_app(**settings)) for algorithm, settings in SETTINGS.items()}


def try_every_door(forge: Forge, attack: Attack) -> None:
    """Every door with the default algorithm; with the others one for each kind of token, for the doors are the same."""
    for door in DOORS if forge.key.algorithm == "EdDSA" else (DOORS[0], DOORS[-1]):
        token = attack(forge, door.kind)
        assert refused(forge.present(door, token)), door.name
        assert refused(forge.present(door, token, cookie=True)), f"{door.name} by cookie"
    assert forge.unharmed()


@pytest.mark.parametrize("algorithm", SETTINGS)
@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS.keys())
def test_no_door_opens_to_a_forged_token(forges: dict[str, Forge], algorithm: str, attack: Attack) -> None:
    try_every_door(forges[algorithm], attack)


@pytest.mark.parametrize("algorithm", ["EdDSA", "RS256"])
@pytest.mark.parametrize("attack", CONFUSIONS.values(), ids=CONFUSIONS.keys())
def test_a_public_key_is_never_taken_for_a_shared_secret(forges: dict[str, Forge], algorithm: str, attack: Attack) -> None:
    """The JWKS is public: whoever could sign with it could be anybody."""
    try_every_door(forges[algorithm], attack)


@pytest.mark.parametrize(
    "written",
    [
        " {}", "{} ", "\t{}", "{}\t", "{} {}", "{},", ",{}", "{}, {}", '"{}"', "<{}>", "{};", "{}\x00", "{}\x0b",
        "\x0c{}", "{}\x1f", "{}\xa0", "\u00fc{}",
    ],
)  # fmt: skip
def test_a_token_with_anything_around_it_is_refused(forges: dict[str, Forge], written: str) -> None:
    """Two parsers that see different tokens in one header are how a check is passed with one and a call made with the other."""
    forge = forges["EdDSA"]
    for door in DOORS:
        assert refused(forge.present(door, written.replace("{}", forge.genuine(door.kind)))), door.name
    assert forge.unharmed()
