// The tokens of every algorithm, as libraries of others see them: what we sign they believe, and nothing
// that resembles it. Our own verifier's like tests are in src/verifier/check/tests.rs.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { get } from './support/http.mjs';
import { logIn, refresh } from './support/login.mjs';
import { until } from './support/program.mjs';
import { ISSUER, World } from './support/service.mjs';
import {
  bent, golangJwt, header, jose, payload, pyjwt, signedWithOwnKey, signedWithPublicKey, unsigned,
} from './support/tokens.mjs';

const CONFIG = `
  [[clients]]
  id = "web"
  audience = "api"

  [[clients]]
  id = "shop"
  audience = "shop"
`;

/** Each with how it says no: to a signature, an algorithm, an issuer, an audience, an end, to nonsense. */
const LIBRARIES = [
  ['PyJWT', pyjwt, {
    signature: /^InvalidSignatureError$/,
    algorithm: /^InvalidAlgorithmError$/,
    issuer: /^InvalidIssuerError$/,
    audience: /^InvalidAudienceError$/,
    expired: /^ExpiredSignatureError$/,
    nonsense: /^DecodeError$/,
  }],
  ['jose', jose, {
    signature: /^ERR_JWS_SIGNATURE_VERIFICATION_FAILED$/,
    algorithm: /^ERR_JOSE_ALG_NOT_ALLOWED$/,
    issuer: /^ERR_JWT_CLAIM_VALIDATION_FAILED iss$/,
    audience: /^ERR_JWT_CLAIM_VALIDATION_FAILED aud$/,
    expired: /^ERR_JWT_EXPIRED exp$/,
    nonsense: /^ERR_JWS_INVALID$/,
  }],
  ['golang-jwt', golangJwt, {
    // It reads the payload first, which need not be JSON any more.
    signature: /verification error|invalid character/,
    algorithm: /'none' signature type is not allowed|key is of invalid type/,
    issuer: /^iss$/,
    audience: /^aud$/,
    expired: /Token is expired/,
    nonsense: /^no access token of a known key$/,
  }],
];

for (const algorithm of ['ES256', 'EdDSA', 'RS256']) {
  describe(`${algorithm} tokens`, () => {
    let world, facts, login, refreshed, refused;

    before(async () => {
      const env = { OTP_AUTH__TOKENS__ALGORITHM: algorithm };
      world = await World.start({ config: CONFIG, env });
      const { service, sandbox } = world;
      facts = { jwks: `${service.url}/.well-known/jwks.json`, issuer: ISSUER, audience: 'api', algorithm };
      login = await logIn(service, sandbox, '+919876500001');
      refreshed = await refresh(service, login.refresh_token);

      // They sign with the same key.
      const [elsewhere, hasty] = await Promise.all([
        world.another({ OTP_AUTH__SERVER__ISSUER: `${ISSUER}/other` }),
        world.another({ OTP_AUTH__TOKENS__ACCESS_TTL_SECONDS: '1' }),
      ]);
      const { access_token: good } = refreshed;
      const { access_token: expired } = await logIn(hasty, sandbox, '+919876500002');
      const { access_token: foreign } = await logIn(elsewhere, sandbox, '+919876500003');
      const { access_token: shop } = await logIn(service, sandbox, '+919876500004', 'shop');
      const { body: { keys: [key] } } = await get(facts.jwks);
      refused = [
        ['a payload with a bit changed', bent(good, 1), 'signature'],
        ['a signature with a bit changed', bent(good, 2), 'signature'],
        // security.md 23.
        ['a key that the token brings along', signedWithOwnKey(good), 'signature'],
        ['alg none', unsigned(good), 'algorithm'],
        ['HS256 with the public key as secret', signedWithPublicKey(good, key), 'algorithm'],
        // security.md 25.
        ['a refresh token', refreshed.refresh_token, 'nonsense'],
        ['another issuer', foreign, 'issuer'],
        ['another audience', shop, 'audience'],
        // security.md 29: without leeway from the first moment on; the snippets' test has leeway.
        ['one that has expired', expired, 'expired'],
      ];
      await until(payload(expired).exp);
    });
    after(() => world?.stop());

    test('are what RFC 9068 says', () => {
      for (const { access_token: token } of [login, refreshed]) {
        const { alg, typ, kid, ...more } = header(token);
        assert.deepEqual([alg, typ, typeof kid, more], [algorithm, 'at+jwt', 'string', {}]);
      }
      // What is refused below is not refused for another reason.
      for (const [what, token, reason] of refused.slice(-3)) {
        const { iss, aud, exp } = payload(token);
        const is = { issuer: iss !== ISSUER, audience: aud !== 'api', expired: exp * 1000 <= Date.now() };
        assert.deepEqual(Object.keys(is).filter((name) => is[name]), [reason], what);
      }
    });

    for (const [name, check, says] of LIBRARIES) {
      test(`are believed by ${name}, and nothing that resembles them`, async () => {
        const good = [login, refreshed].map(({ access_token: token }) => token);
        const bad = refused.map(([, token]) => token);
        const verdicts = await check({ ...facts, tokens: [...good, ...bad] });

        const believed = verdicts.slice(0, good.length).map(({ claims, refused: why }) => {
          assert.equal(why, undefined);
          const { iss, aud, sub, sid, client_id: client } = claims;
          assert.deepEqual([iss, aud, sub, sid, client], [
            ISSUER, 'api', login.subject, login.session_id, 'web',
          ]);
          assert.equal(claims.exp - claims.iat, login.expires_in);
          assert.deepEqual(claims.amr, ['otp', 'sms']);
          return claims;
        });
        assert.notEqual(believed[0].jti, believed[1].jti);
        for (const [index, [what, , reason]] of refused.entries()) {
          const { refused: why } = verdicts[good.length + index];
          assert.match(String(why), says[reason], what);
        }
      });
    }
  });
}
