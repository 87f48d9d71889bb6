// Access tokens, as two libraries that are not ours see them.

import { createRemoteJWKSet, errors, jwtVerify } from 'jose';
import { fileURLToPath } from 'node:url';

import { output } from './program.mjs';

const SCRIPT = fileURLToPath(new URL('../check_tokens.py', import.meta.url));

/** PyJWT's verdict on each token: `{ claims }` or `{ refused }`. */
export async function pyjwt({ jwks, issuer, audience, tokens }) {
  const input = JSON.stringify({ jwks, issuer, audience, tokens });
  return JSON.parse(await output(process.env.OTP_AUTH_PYTHON, [SCRIPT], { input }));
}

/** jose's verdict on each token, in the same form. */
export async function jose({ jwks, issuer, audience, tokens, typ = 'at+jwt' }) {
  const keys = createRemoteJWKSet(new URL(jwks));
  const rules = { issuer, audience, typ, algorithms: ['ES256'] };
  return Promise.all(tokens.map(async (token) => {
    try {
      return { claims: (await jwtVerify(token, keys, rules)).payload };
    } catch (error) {
      if (!(error instanceof errors.JOSEError)) throw error;
      return { refused: error.claim ? `${error.code} ${error.claim}` : error.code };
    }
  }));
}

/** The token with one bit changed in the middle of a part: 1 is the payload, 2 the signature. */
export function bent(token, part) {
  const parts = token.split('.');
  const bytes = Buffer.from(parts[part], 'base64url');
  bytes[bytes.length >> 1] ^= 1;
  parts[part] = bytes.toString('base64url');
  return parts.join('.');
}
