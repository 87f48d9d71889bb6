"""Checks access tokens as a sibling service in Python would: PyJWT, with the keys from the JWKS
address.

Reads from standard input {"jwks": ..., "issuer": ..., "audience": ..., "algorithm": ..., "tokens": [...]}
and prints a list with one entry a token: {"claims": {...}}, or {"refused": "InvalidSignatureError"}.
"""

import json
import sys

import jwt


def check(token, keys, issuer, audience, algorithm):
    """The token's claims; raises PyJWTError where it must not be believed."""
    key = keys.get_signing_key_from_jwt(token)
    # PyJWT does not look at the type itself (RFC 9068 section 4 asks every verifier to).
    if jwt.get_unverified_header(token).get("typ") != "at+jwt":
        raise jwt.InvalidTokenError("not an access token")
    return jwt.decode(
        token,
        key,
        algorithms=[algorithm],
        issuer=issuer,
        audience=audience,
        options={"require": ["iss", "aud", "sub", "iat", "exp", "jti", "client_id"]},
    )


def verdict(token, *rules):
    try:
        return {"claims": check(token, *rules)}
    except jwt.PyJWTError as error:
        return {"refused": type(error).__name__}


def main():
    asked = json.load(sys.stdin)
    keys = jwt.PyJWKClient(asked["jwks"], timeout=30)
    rules = (keys, asked["issuer"], asked["audience"], asked["algorithm"])
    print(json.dumps([verdict(token, *rules) for token in asked["tokens"]]))


main()
