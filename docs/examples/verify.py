"""Prints who a token belongs to, or refuses it: PyJWT with `pip install "PyJWT[crypto]"`."""

import os
import sys

import jwt

ISSUER = os.environ["ISSUER"]  # as `iss` says it, to the byte
AUDIENCE = os.environ["AUDIENCE"]  # this service's own name
JWKS = os.environ.get("JWKS", f"{ISSUER}/.well-known/jwks.json")

# One for the whole process: it keeps the keys for 5 minutes.
keys = jwt.PyJWKClient(JWKS, lifespan=300, timeout=5)


def verify(token):
    """The token's claims; raises jwt.PyJWTError if it must not be believed."""
    # PyJWT does not look at the type itself, and other tokens have the same issuer and keys.
    if jwt.get_unverified_header(token).get("typ") != "at+jwt":
        raise jwt.InvalidTokenError("this is no access token")
    return jwt.decode(
        token,
        keys.get_signing_key_from_jwt(token),  # the key says which of the algorithms it is for
        algorithms=["ES256", "EdDSA", "RS256"],
        issuer=ISSUER,
        audience=AUDIENCE,
        leeway=5,  # seconds by which two clocks may differ
        options={"require": ["iss", "sub", "aud", "exp", "iat", "jti", "client_id"]},
    )


try:
    print(verify(sys.stdin.read().strip())["sub"])
except jwt.PyJWKClientConnectionError:
    sys.exit("no keys")  # not the token's fault: 503
except jwt.PyJWTError as error:
    sys.exit(f"refused: {error}")  # 401
