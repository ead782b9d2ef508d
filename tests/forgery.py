"""JWTs put together by hand, right ones and every kind of wrong ones."""

import json
import time
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as generate_ec_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as generate_rsa_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

DROP = object()
RSA_KEY = generate_rsa_key(65_537, 2_048)
EC_KEY = generate_ec_key(SECP256R1())
ED_KEY = Ed25519PrivateKey.generate()
PrivateKey = Ed25519PrivateKey | RSAPrivateKey | EllipticCurvePrivateKey


def encoded(part: bytes) -> str:
    """Return base64url without padding."""
    return urlsafe_b64encode(part).decode().rstrip("=")


def algorithm_of(key: PrivateKey) -> str:
    """Return what the key is for."""
    if isinstance(key, Ed25519PrivateKey):
        return "EdDSA"
    return "RS256" if isinstance(key, RSAPrivateKey) else "ES256"


@dataclass(frozen=True)
class Forge:
    """Makes tokens that are right, but for what a call changes; ``DROP`` leaves a member out."""

    key: PrivateKey
    header: Mapping[str, object]
    claims: Mapping[str, object] = field(default_factory=dict)

    def token(self, header: Mapping[str, object] | None = None, **claims: object) -> str:
        """Return a token with these members, signed by the key whatever the header says."""
        return self.signed(_merged(self.header, header or {}), _merged(self._now(), claims))

    def signed(self, header: object, claims: object) -> str:
        """Return a token of any two JSON values, or of any two texts."""
        parts = [encoded(part if isinstance(part, bytes) else json.dumps(part).encode()) for part in (header, claims)]
        return self.sealed(".".join(parts))

    def sealed(self, text: str) -> str:
        """Return ``text`` with its signature."""
        return f"{text}.{encoded(jwt.get_algorithm_by_name(algorithm_of(self.key)).sign(text.encode(), self.key))}"

    def _now(self) -> dict[str, object]:
        now = int(time.time())
        return {**self.claims, "iat": now, "exp": now + 300, "jti": str(uuid4())}


def _merged(known: Mapping[str, object], changed: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in {**known, **changed}.items() if value is not DROP}


def public_texts(key: PrivateKey) -> list[bytes]:
    """Return the texts of a public key that a careless verifier might take for a shared secret."""
    public = key.public_key()
    formats = [(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)]
    if isinstance(key, Ed25519PrivateKey):
        formats.append((Encoding.Raw, PublicFormat.Raw))
    return [public.public_bytes(encoding, form) for encoding, form in formats]


def crafted(forge: Forge) -> dict[str, str]:
    """Return tokens by what is wrong with them; none may ever be taken."""
    return {**_headers(forge), **_algorithms(forge), **_times(forge), **_names(forge), **_texts(forge)}


def _headers(forge: Forge) -> dict[str, str]:
    stranger = Ed25519PrivateKey.generate()
    jwk = jwt.get_algorithm_by_name("EdDSA").to_jwk(stranger.public_key(), as_dict=True)
    url = "http://127.0.0.1:9/keys"
    wrong: dict[str, Mapping[str, object]] = {
        "no kid": {"kid": DROP},
        "kid null": {"kid": None},
        "kid number": {"kid": 5},
        "kid list": {"kid": [forge.header["kid"]]},
        "kid empty": {"kid": ""},
        "kid unknown": {"kid": "0123456789abcdef"},
        "kid in capitals": {"kid": f"{forge.header['kid']}".swapcase() + "X"},
        "kid a path": {"kid": "../../../../dev/null"},
        "kid SQL": {"kid": "' OR '1'='1"},
        "kid NUL": {"kid": f"{forge.header['kid']}\0"},
        "kid long": {"kid": "k" * 4_000},
        "kid surrogate": {"kid": "\ud800"},
        "crit unknown": {"crit": ["unheard-of"], "unheard-of": True},
        "crit known elsewhere": {"crit": ["b64"], "b64": True},
        "crit a claim": {"crit": ["exp"], "exp": 1},
        "crit empty": {"crit": []},
        "crit text": {"crit": "b64"},
        "payload not encoded": {"crit": ["b64"], "b64": False},
        "compressed": {"zip": "DEF"},
        "jku": {"jku": url},
        "x5u": {"x5u": url},
        "x5c": {"x5c": ["MIIB"]},
        "jwk beside our signature": {"jwk": jwk},
        "no typ": {"typ": DROP},
        "typ null": {"typ": None},
        "typ of another kind": {"typ": "logout+jwt"},
        "typ refresh": {"typ": "refresh"},
        "typ list": {"typ": ["at+jwt"]},
    }
    tokens = {name: forge.token(header) for name, header in wrong.items()}
    theirs = Forge(stranger, forge.header, forge.claims)
    tokens["signed by a stranger"] = theirs.token({"alg": "EdDSA"})
    tokens["signed by a stranger who brings the key"] = theirs.token({"alg": "EdDSA", "jwk": jwk})
    tokens["signed by a stranger who says where the key is"] = theirs.token({"alg": "EdDSA", "jku": url})
    tokens["header an array"] = forge.signed([], {})
    tokens["header no JSON"] = forge.signed(b"{", {})
    tokens["header nested deeply"] = forge.signed(b'{"a":' * 1_000 + b"1" + b"}" * 1_000, {})
    tokens["header not UTF-8"] = forge.signed(b'{"alg":"\xff"}', {})
    return tokens


def _algorithms(forge: Forge) -> dict[str, str]:
    good = forge.token()
    text, _, signature = good.rpartition(".")
    payload = text.split(".")[1]
    tokens = {}
    for name in ("none", "None", "NONE", "nOnE", ""):
        head = encoded(json.dumps({**forge.header, "alg": name}).encode())
        tokens[f"algorithm {name!r}, unsigned"] = f"{head}.{payload}."
        tokens[f"algorithm {name!r}, signature kept"] = f"{head}.{payload}.{signature}"
    for number, secret in enumerate([*public_texts(forge.key), f"{forge.header['kid']}".encode(), b""]):
        for name in ("HS256", "HS512"):
            head = encoded(json.dumps({**forge.header, "alg": name}).encode())
            mac = jwt.get_algorithm_by_name(name).sign(f"{head}.{payload}".encode(), secret)
            tokens[f"{name} with secret {number}"] = f"{head}.{payload}.{encoded(mac)}"
    others: list[object] = [
        "RS256",
        "RS512",
        "PS256",
        "ES256",
        "ES384",
        "EdDSA",
        "eddsa",
        "Ed25519",
        "EdDSA ",
        5,
        None,
        [],
    ]
    for other in others:
        if other != forge.header["alg"]:
            tokens[f"algorithm {other!r}"] = forge.token({"alg": other})
    tokens["no algorithm"] = forge.token({"alg": DROP})
    return tokens


def _times(forge: Forge) -> dict[str, str]:
    now = int(time.time())
    wrong: dict[str, Mapping[str, Any]] = {
        "no exp": {"exp": DROP},
        "exp null": {"exp": None},
        "exp text": {"exp": str(now + 300)},
        "exp word": {"exp": "never"},
        "exp true": {"exp": True},
        "exp list": {"exp": [now + 300]},
        "exp infinite": {"exp": float("inf")},
        "exp not a number": {"exp": float("nan")},
        "exp passed": {"iat": now - 400, "exp": now - 31},
        "exp long passed": {"iat": 1, "exp": 2},
        "exp negative": {"exp": -1},
        "exp far away": {"exp": now + 10 * 365 * 86_400},
        "exp beyond all numbers": {"exp": 10**400},
        "exp before iat": {"iat": now + 5, "exp": now + 4},
        "no iat": {"iat": DROP},
        "iat null": {"iat": None},
        "iat text": {"iat": str(now)},
        "iat ahead": {"iat": now + 31, "exp": now + 90},
        "iat long ago": {"iat": 1},
        "nbf ahead": {"nbf": now + 31},
        "nbf text": {"nbf": str(now)},
        "nbf null": {"nbf": None},
        "nbf word": {"nbf": "now"},
    }
    return {name: forge.token(**claims) for name, claims in wrong.items()}


def _names(forge: Forge) -> dict[str, str]:
    wrong: dict[str, Mapping[str, Any]] = {
        "no iss": {"iss": DROP},
        "iss wrong": {"iss": "somebody"},
        "iss empty": {"iss": ""},
        "iss list": {"iss": [forge.claims["iss"]]},
        "iss longer": {"iss": f"{forge.claims['iss']}/"},
        "no aud": {"aud": DROP},
        "aud wrong": {"aud": "somebody"},
        "aud empty": {"aud": ""},
        "aud number": {"aud": 5},
        "aud others": {"aud": ["somebody", "else"]},
        "aud mixed": {"aud": [5, forge.claims["aud"]]},
        "no sub": {"sub": DROP},
        "sub null": {"sub": None},
        "sub empty": {"sub": ""},
        "sub number": {"sub": 5},
        "no jti": {"jti": DROP},
        "jti null": {"jti": None},
        "jti empty": {"jti": ""},
        "jti number": {"jti": 5},
    }
    return {name: forge.token(**claims) for name, claims in wrong.items()}


def _texts(forge: Forge) -> dict[str, str]:
    good, other = forge.token(), forge.token(sub=str(uuid4()))
    head, payload, signature = good.split(".")
    return {
        "payload an array": forge.signed(dict(forge.header), []),
        "payload no JSON": forge.signed(dict(forge.header), b"{"),
        "payload empty": forge.signed(dict(forge.header), b""),
        "payload nested deeply": forge.signed(dict(forge.header), b'{"exp":' * 1_000 + b"1" + b"}" * 1_000),
        "payload with 5,000 digits": forge.signed(dict(forge.header), b'{"exp":' + b"9" * 5_000 + b"}"),
        "payload exchanged": f"{head}.{other.split('.')[1]}.{signature}",
        "signature of another": f"{head}.{payload}.{other.split('.')[2]}",
        "no signature": f"{head}.{payload}.",
        "no signature part": f"{head}.{payload}",
        "signature cut": good[:-2],
        "signature doubled": f"{head}.{payload}.{signature}{signature}",
        "signature padded": f"{good}==",
        "signature padded once": f"{good}=",
        "padding everywhere": f"{head}=.{payload}=.{signature}=",
        "one character behind": f"{good}A",
        "four characters behind": f"{good}AAAA",
        "a part behind": f"{good}.AAAA",
        "an empty part behind": f"{good}.",
        "a part before": f"AAAA.{good}",
        "a point before": f".{good}",
        "two tokens": f"{good},{good}",
        "blank and junk behind": f"{good} junk",
        "junk behind": f"{good}~",
        "NUL behind": f"{good}\0",
        "line end behind": f"{good}\n",
        "other alphabet": good.replace("-", "+").replace("_", "/") + "+",
        "five parts": f"{good}.AAAA.AAAA",
        "only points": "..",
        "empty": "",
        "one megabyte": "A" * 1_000_000,
        "one megabyte behind": good + "A" * 1_000_000,
        "one megabyte, signed": forge.token(padding="A" * 750_000),
    }
