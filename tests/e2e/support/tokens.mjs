// Access tokens, as libraries that are not ours see them, and how they are bent and forged.

import { createHmac, createPublicKey, generateKeyPairSync, sign } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createRemoteJWKSet, decodeProtectedHeader, errors, jwtVerify } from 'jose';

import { get } from './http.mjs';
import { output, run } from './program.mjs';

const SCRIPT = fileURLToPath(new URL('../check_tokens.py', import.meta.url));

/** PyJWT's verdict on each token: `{ claims }` or `{ refused }`. */
export async function pyjwt({ jwks, issuer, audience, algorithm = 'ES256', tokens }) {
  const input = JSON.stringify({ jwks, issuer, audience, algorithm, tokens });
  return JSON.parse(await output(process.env.OTP_AUTH_PYTHON, [SCRIPT], { input }));
}

/** jose's verdict on each token, in the same form. */
export async function jose({ jwks, issuer, audience, algorithm = 'ES256', tokens, typ = 'at+jwt' }) {
  const keys = createRemoteJWKSet(new URL(jwks));
  const rules = { issuer, audience, typ, algorithms: [algorithm] };
  return Promise.all(tokens.map(async (token) => {
    try {
      return { claims: (await jwtVerify(token, keys, rules)).payload };
    } catch (error) {
      if (!(error instanceof errors.JOSEError)) throw error;
      return { refused: error.claim ? `${error.code} ${error.claim}` : error.code };
    }
  }));
}

/**
 * The verdict on each token of golang-jwt 4, by its command line program. That checks the signature, with
 * the key and the algorithm that it is given, and the times. The rest it leaves to its caller, as the
 * library does; here it is done as a service in Go would.
 */
export async function golangJwt({ jwks, issuer, audience, algorithm, tokens }) {
  const { body: { keys } } = await get(jwks);
  const directory = await mkdtemp(join(tmpdir(), 'otp-auth-e2e-'));
  const check = async (token) => {
    const { kid, typ } = header(token);
    const key = keys.find((one) => one.kid === kid);
    if (typ !== 'at+jwt' || !key) return { refused: 'no access token of a known key' };
    const file = join(directory, `${kid}.pem`);
    await writeFile(file, pem(key));
    const args = ['-compact', '-alg', algorithm, '-key', file, '-verify', '-'];
    const { code, stdout, stderr } = await run('jwt', args, { input: token });
    if (code !== 0) return { refused: stderr.trim() };
    const claims = JSON.parse(stdout);
    if (claims.iss !== issuer) return { refused: 'iss' };
    return claims.aud === audience ? { claims } : { refused: 'aud' };
  };
  try {
    const verdicts = [];
    for (const token of tokens) verdicts.push(await check(token));
    return verdicts;
  } finally {
    await rm(directory, { recursive: true });
  }
}

/** What a token's header says; nothing if it has none. */
export function header(token) {
  try {
    return decodeProtectedHeader(token);
  } catch {
    return {};
  }
}

/** What a token's payload says, whoever signed it. */
export const payload = (token) => JSON.parse(Buffer.from(token.split('.')[1], 'base64url'));

/** A key of a JWKS, as programs that know no JWKS want it. */
export const pem = (jwk) => (
  createPublicKey({ key: jwk, format: 'jwk' }).export({ type: 'spki', format: 'pem' })
);

/** The token with one bit changed in the middle of a part: 1 is the payload, 2 the signature. */
export function bent(token, part) {
  const parts = token.split('.');
  const bytes = Buffer.from(parts[part], 'base64url');
  bytes[bytes.length >> 1] ^= 1;
  parts[part] = bytes.toString('base64url');
  return parts.join('.');
}

/** The token with its header changed, and a signature over that by whoever can make one. */
function signedAgain(token, changes, signer) {
  const changed = Buffer.from(JSON.stringify({ ...header(token), ...changes })).toString('base64url');
  const signed = `${changed}.${token.split('.')[1]}`;
  return `${signed}.${signer(signed).toString('base64url')}`;
}

/** The token as one that needs no signature. */
export const unsigned = (token) => signedAgain(token, { alg: 'none' }, () => Buffer.alloc(0));

/** The token signed with a secret that both sides share. */
export const signedWithSecret = (token, secret) => signedAgain(
  token, { alg: 'HS256' }, (text) => createHmac('sha256', secret).update(text).digest());

/** The token with the public key as that secret. */
export const signedWithPublicKey = (token, jwk) => signedWithSecret(token, pem(jwk));

/** The token signed with a key of the forger's, which the header brings along. */
export function signedWithOwnKey(token) {
  const [type, options] = {
    ES256: ['ec', { namedCurve: 'P-256' }],
    EdDSA: ['ed25519', {}],
    RS256: ['rsa', { modulusLength: 2048 }],
  }[header(token).alg];
  const { publicKey, privateKey: key } = generateKeyPairSync(type, options);
  const hash = type === 'ed25519' ? null : 'sha256';
  return signedAgain(token, { jwk: publicKey.export({ format: 'jwk' }) }, (text) => (
    sign(hash, Buffer.from(text), { key, dsaEncoding: 'ieee-p1363' })));
}
