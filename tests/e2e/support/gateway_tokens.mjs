// Tokens to show to gateways: real ones, and such as only who has the signing key can make.

import { call, get } from './http.mjs';
import { logIn } from './login.mjs';
import { soon } from './program.mjs';
import { importKey, resigned } from './signing_key.mjs';
import { bent, payload, signedWithOwnKey, signedWithPublicKey, signedWithSecret, unsigned } from './tokens.mjs';

/** Seconds, well above any gateway's leeway. */
const HOUR = 3600;

/** Clients whose users the gateways are to let in. */
export const CLIENTS = `
  [[clients]]
  id = "web"
  audience = "orders-api"
  scopes = ["phone", "orders.read", "orders.write"]

  [[clients]]
  id = "plain"
  audience = "orders-api"

  [[clients]]
  id = "many"
  audience = ["billing-api", "orders-api"]

  [[clients]]
  id = "other"
  audience = "billing-api"
`;

/** All tokens, by what is the matter with them. */
export async function makeTokens(world) {
  const { service, sandbox } = world;
  const { privateKey, jwk } = await importKey(world);
  const login = (phone, client) => logIn(service, sandbox, phone, client);

  const { access_token: good, refresh_token: refresh } = await login('+919876500001', 'web');
  const { access_token: plain } = await login('+919876500002', 'plain');
  const { access_token: many } = await login('+919876500003', 'many');
  const { access_token: elsewhere } = await login('+919876500004', 'other');
  const { access_token: revoked } = await login('+919876500005', 'web');

  const sign = (claims, named, key = privateKey) => resigned(good, key, claims, named);
  const { exp, iat } = payload(good);
  return {
    good,
    plain,
    many,
    refresh,
    elsewhere,
    revoked,
    sign,
    signedWith: (secret) => signedWithSecret(good, secret),
    resigned: await sign({}),
    expired: await sign({ exp: exp - 2 * HOUR, iat: iat - 2 * HOUR }),
    'of another issuer': await sign({ iss: 'https://auth.example.com/' }),
    'of another type': await sign({}, { typ: 'JWT' }),
    'of no type': await sign({}, { typ: undefined }),
    'with an unknown kid': await sign({}, { kid: 'unknown' }),
    'signed by another key': signedWithOwnKey(good),
    'with its payload bent': bent(good, 1),
    'with its signature bent': bent(good, 2),
    unsigned: unsigned(good),
    'signed with the public key': signedWithPublicKey(good, jwk),
  };
}

/** Ends the session of a token, and waits until the hook knows. */
export async function revoke(service, token) {
  const headers = { authorization: `Bearer ${token}` };
  const { status } = await call('DELETE', `${service.url}/v1/sessions`, { headers });
  if (status !== 204) throw new Error(`DELETE /v1/sessions answers ${status}`);
  const isKnown = async () => (await get(`${service.url}/v1/authorize`, { headers })).status === 401;
  const wait = async () => { while (!await isKnown()); };
  await soon(wait(), 'the hook to refuse a session that has ended');
}
