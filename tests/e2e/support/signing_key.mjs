// A signing key that a test has, and tokens that only who has it can make.

import { generateKeyPairSync } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { SignJWT } from 'jose';

import { get } from './http.mjs';
import { OTP_AUTH, output, soon } from './program.mjs';
import { header, payload } from './tokens.mjs';

/** Makes the service sign with a key that the test has, and waits until it does. */
export async function importKey({ directory, env, args, service }, kid = 'imported') {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const file = join(directory, 'key.pem');
  await writeFile(file, privateKey.export({ type: 'pkcs8', format: 'pem' }));
  await output(OTP_AUTH, ['keys', 'import', file, '--kid', kid, '--now', ...args], { env });
  const isThere = async () => {
    const { body } = await get(`${service.url}/.well-known/jwks.json`);
    return body.keys.find((one) => one.kid === kid);
  };
  let jwk;
  const wait = async () => { while (!(jwk = await isThere())); };
  await soon(wait(), 'the imported key');
  return { privateKey, jwk };
}

/** The token with other claims and another header, signed. */
export const resigned = (token, key, claims = {}, named = {}) => (
  new SignJWT({ ...payload(token), ...claims }).setProtectedHeader({ ...header(token), ...named }).sign(key)
);
