// Prints who a token belongs to, or refuses it: `npm install jose`.

import { text } from 'node:stream/consumers';
import { createRemoteJWKSet, errors, jwtVerify } from 'jose';

const issuer = process.env.ISSUER; // as `iss` says it, to the byte
const audience = process.env.AUDIENCE; // this service's own name
const jwks = process.env.JWKS ?? `${issuer}/.well-known/jwks.json`;

// One for the whole process: it keeps the keys, and asks for new ones every 30 seconds at most.
const keys = createRemoteJWKSet(new URL(jwks), { cacheMaxAge: 300_000, timeoutDuration: 5_000 });

/** The token's claims; throws if it must not be believed. */
export async function verify(token) {
  const { payload } = await jwtVerify(token, keys, {
    typ: 'at+jwt', // other tokens have the same issuer and keys
    algorithms: ['ES256', 'EdDSA', 'RS256'], // the key says which of them it is for
    issuer,
    audience,
    clockTolerance: 5, // seconds by which two clocks may differ
    requiredClaims: ['sub', 'exp', 'iat', 'jti', 'client_id'],
  });
  return payload;
}

try {
  console.log((await verify((await text(process.stdin)).trim())).sub);
} catch (error) {
  const keysAreMissing = !(error instanceof errors.JOSEError)
    || ['ERR_JOSE_GENERIC', 'ERR_JWKS_INVALID', 'ERR_JWKS_TIMEOUT'].includes(error.code);
  console.error(keysAreMissing ? 'no keys' : `refused: ${error.message}`); // 503, or 401
  process.exitCode = 1;
}
