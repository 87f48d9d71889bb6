"""A service with login by otp-auth: `pip install fastapi uvicorn httpx "PyJWT[crypto]"`."""

import os
import uuid
from contextlib import asynccontextmanager

import httpx
import jwt
import uvicorn
from fastapi import Body, Depends, FastAPI, HTTPException, Request, Response
from revocations import following

URL, AUDIENCE = os.environ["OTP_AUTH_URL"], os.environ["AUDIENCE"]
ISSUER = os.environ.get("ISSUER", URL)  # as `iss` says it, to the byte
RULES = {"algorithms": ["ES256", "EdDSA", "RS256"], "issuer": ISSUER, "audience": AUDIENCE, "leeway": 5}
NEEDED = {"require": ["iss", "sub", "aud", "exp", "iat", "jti", "client_id"]}
PASSED_ON = ("content-type", "cache-control", "retry-after", "ratelimit", "ratelimit-policy")
keys = jwt.PyJWKClient(f"{URL}/.well-known/jwks.json", lifespan=300, timeout=5)


@asynccontextmanager
async def lifespan(app):
    auth, limit = (os.environ["CLIENT_ID"], os.environ["CLIENT_SECRET"]), httpx.Timeout(10, connect=2)
    client = httpx.AsyncClient(base_url=URL, auth=auth, timeout=limit)
    async with client, following(client) as revocations:
        yield {"client": client, "revocations": revocations}


def user(request: Request):  # no `async`: fetching keys blocks, so FastAPI runs this in a thread
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        raise HTTPException(401, headers={"WWW-Authenticate": "Bearer"})
    try:
        header = jwt.get_unverified_header(token)
        key = keys.get_jwk_set()[header["kid"]]  # get_signing_key would fetch for each unknown `kid`
        claims = jwt.decode(token, key, options=NEEDED, **RULES)
        if header.get("typ") != "at+jwt" or request.state.revocations.hold(claims):
            raise jwt.InvalidTokenError
    except jwt.PyJWKClientError:
        raise HTTPException(503, headers={"Retry-After": "5"}) from None  # the token may be good
    except (jwt.PyJWTError, KeyError):
        raise HTTPException(401, headers={"WWW-Authenticate": 'Bearer error="invalid_token"'}) from None
    return claims


async def ask(request, path, body):
    hops = [*request.headers.getlist("x-forwarded-for"), request.client.host]
    once = request.headers.get("idempotency-key") or str(uuid.uuid4())
    headers = {"X-Forwarded-For": ", ".join(hops), "Idempotency-Key": once}
    try:
        answer = await request.state.client.post(path, json=body, headers=headers)
    except httpx.TransportError as error:
        raise HTTPException(504 if isinstance(error, httpx.ReadTimeout) else 502) from None
    passed = {name: answer.headers[name] for name in PASSED_ON if name in answer.headers}
    return Response(answer.content, answer.status_code, passed)


app = FastAPI(lifespan=lifespan, openapi_url=None)


@app.post("/login")
async def login(request: Request, phone_number: str = Body(embed=True)):
    return await ask(request, "/v1/otp/send", {"phone_number": phone_number})


@app.post("/login/verify")
async def verify(request: Request, request_id: str = Body(), code: str = Body()):
    return await ask(request, "/v1/otp/verify", {"request_id": request_id, "code": code})


@app.get("/orders")
async def orders(claims=Depends(user)):
    if "orders:read" not in claims.get("scope", "").split():
        raise HTTPException(403, headers={"WWW-Authenticate": 'Bearer error="insufficient_scope", scope="orders:read"'})
    return {"orders_of": claims["sub"]}


uvicorn.run(app, port=int(os.environ["PORT"]), proxy_headers=False)
