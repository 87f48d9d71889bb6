"""Checks one access token: verify.py TOKEN, with ISSUER, AUDIENCE and JWKS_URL in the environment."""

import os
import sys

import jwt  # PyJWT[crypto]

ISSUER = os.environ["ISSUER"]
AUDIENCE = os.environ["AUDIENCE"]
JWKS_URL = os.environ.get("JWKS_URL", f"{ISSUER}/.well-known/jwks.json")

# One for the whole process: it keeps the keys for five minutes.
keys = jwt.PyJWKClient(JWKS_URL, cache_keys=True, lifespan=300, timeout=5)


def check(token):
    """The claims of a good token; raises jwt.PyJWTError for any other."""
    # PyJWT does not look at the type by itself.
    if jwt.get_unverified_header(token).get("typ") != "at+jwt":
        raise jwt.InvalidTokenError("not an access token")
    key = keys.get_signing_key_from_jwt(token)
    # The one algorithm of this key, as the key set says.
    algorithms = {key.algorithm_name} & {"ES256", "EdDSA", "RS256"}
    return jwt.decode(
        token,
        key,
        algorithms=list(algorithms),
        issuer=ISSUER,
        audience=AUDIENCE,
        leeway=30,
        options={"require": ["iss", "sub", "aud", "exp", "iat", "jti", "client_id"]},
    )


try:
    print(check(sys.argv[1])["sub"])
except jwt.PyJWTError as refused:
    sys.exit(f"refused: {type(refused).__name__}")
