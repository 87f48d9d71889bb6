// Checks one access token: verify.mjs TOKEN, with ISSUER, AUDIENCE and JWKS_URL in the environment.

import { createRemoteJWKSet, jwtVerify } from 'jose';

const { ISSUER: issuer, AUDIENCE: audience } = process.env;
const jwks = process.env.JWKS_URL ?? `${issuer}/.well-known/jwks.json`;

// One for the whole process: it keeps the keys, and asks for an unknown one every 30 s at most.
const keys = createRemoteJWKSet(new URL(jwks), { cacheMaxAge: 300_000, cooldownDuration: 30_000 });

/** The claims of a good token; rejects any other. jose takes a key only for the algorithm it is for. */
export async function check(token) {
  const { payload } = await jwtVerify(token, keys, {
    typ: 'at+jwt',
    algorithms: ['ES256', 'EdDSA', 'RS256'],
    issuer,
    audience,
    clockTolerance: 30,
    requiredClaims: ['sub', 'exp', 'iat', 'jti', 'client_id'],
  });
  return payload;
}

try {
  console.log((await check(process.argv[2])).sub);
} catch (refused) {
  console.error(`refused: ${refused.code}`);
  process.exitCode = 1;
}
