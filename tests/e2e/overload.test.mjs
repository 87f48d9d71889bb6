// More than anybody should send: idle and slow connections, floods, bodies without end, requests in two minds. The
// service goes on, and says what it costs. It prints figures.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { allClosed, closeAll, drip, exchange, openMany, pour, statuses } from './support/flood.mjs';
import { get, post } from './support/http.mjs';
import { logIn, refresh } from './support/login.mjs';
import { Replicas } from './support/replicas.mjs';
import { ANSWERED, PIPELINED, SMUGGLED } from './support/smuggling.mjs';

const CONFIG = `
  [[clients]]
  id = "web"
  audience = "api"
`;
const env = { OTP_AUTH__DATABASE__ACQUIRE_TIMEOUT_MS: '1000' };
/** The second waits for heads as long as it takes to make 10,000 connections here. */
const own = [{}, { OTP_AUTH__SERVER__READ_TIMEOUT_MS: '60000' }];

let all, place, port;
let phones = 0;

before(async () => {
  all = await Replicas.start({ config: CONFIG, env, own });
  [place] = all.places;
  ({ port } = place);
});
after(() => all?.stop());

const ms = (value) => `${value.toFixed(0)} ms`;
const phone = () => `+9198760${String(10_000 + (phones += 1))}`;
const bearer = (token) => ({ authorization: `Bearer ${token}` });

async function timed(work) {
  const began = performance.now();
  const made = await work();
  return [performance.now() - began, made];
}

/** What others do meanwhile: logins, refreshes, the hook, the keys; how long the slowest of each took. */
class Others {
  slowest = {};
  calls = 0;
  #running = true;

  constructor({ service }) {
    this.service = service;
    this.done = this.#goOn();
  }

  async #goOn() {
    let tokens;
    for (let round = 0; this.#running; round += 1) {
      // Each is an SMS, of which the sandbox takes as few as StartMessaging.
      if (round % 20 === 0) tokens = await this.#note('login', () => logIn(this.service, all.sandbox, phone()));
      tokens = await this.#note('refresh', () => refresh(this.service, tokens.refresh_token));
      const headers = bearer(tokens.access_token);
      const hook = await this.#note('hook', () => get(`${this.service.url}/v1/authorize`, { headers }));
      const keys = await this.#note('keys', () => get(`${this.service.url}/.well-known/jwks.json`));
      assert.deepEqual([hook.status, keys.status], [200, 200]);
    }
  }

  async #note(what, work) {
    const [took, made] = await timed(work);
    this.calls += 1;
    this.slowest[what] = Math.max(this.slowest[what] ?? 0, took);
    return made;
  }

  async stop() {
    this.#running = false;
    await this.done;
    const slowest = Object.entries(this.slowest).map(([what, took]) => `${what} ${ms(took)}`);
    return `${this.calls} calls of others served, the slowest ${slowest.join(', ')}`;
  }
}

/** How many answers there are of each status and code. */
function count(answers) {
  const counts = {};
  for (const { status, body } of answers) {
    const what = status === 201 ? '201' : `${status} ${body.code}`;
    counts[what] = (counts[what] ?? 0) + 1;
  }
  return counts;
}

/** Does something while others go on, and prints what that was for them. */
async function meanwhile(t, what, at, work) {
  const others = new Others(at);
  let told;
  try {
    told = await work();
  } finally {
    const served = await others.stop();
    t.diagnostic(`${what}: ${told ?? 'failed'}; ${served}`);
  }
}

describe('connections', () => {
  test('10,000 that say nothing', async (t) => {
    const [, other] = all.places;
    const memory = await other.metric('process_resident_memory_bytes');
    // Or as many as this machine lets one process have files.
    const many = Math.min(10_000, await other.metric('process_max_fds') - 1000);
    await meanwhile(t, `${many} idle connections`, other, async () => {
      const [opened, sockets] = await timed(() => openMany(other.port, many));
      let files;
      await other.service.program.ready(async () => {
        files = await other.metric('process_open_fds');
        return files > many;
      });
      const each = (await other.metric('process_resident_memory_bytes') - memory) / many;
      closeAll(sockets);
      return `opened in ${ms(opened)}, ${files} open files, ${(each / 1000).toFixed(1)} kB each`;
    });
  });

  test('1,000 whose heads never end, and 1,000 whose bodies do not', async (t) => {
    const kind = 'Content-Type: application/json';
    const body = `POST /v1/otp/send HTTP/1.1\r\nHost: a\r\n${kind}\r\nContent-Length: 9999\r\n\r\n`;
    for (const [what, head] of [['heads', 'GET / HTTP/1.1\r\nX: '], ['bodies', body]]) {
      await meanwhile(t, `1,000 slow ${what}, a byte each 500 ms`, place, async () => {
        const sockets = await openMany(port, 1000);
        sockets.forEach((socket) => drip(socket, head, 500));
        const [closed] = await timed(() => allClosed(sockets));
        return `all closed after ${ms(closed)}`;
      });
    }
  });

  test('200 that do not read what they asked for', async (t) => {
    await meanwhile(t, '200 connections that read nothing', place, async () => {
      const sockets = await openMany(port, 200);
      for (const socket of sockets) {
        socket.pause();
        socket.write('GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(20));
      }
      const memory = await place.metric('process_resident_memory_bytes');
      const [took] = await timed(() => logIn(place.service, all.sandbox, phone()));
      closeAll(sockets);
      return `${(memory / 1e6).toFixed(0)} MB resident, a login beside them took ${ms(took)}`;
    });
  });
});

describe('floods', () => {
  test('of sends, while the database is locked: logins, refreshes, hook and keys go on', async (t) => {
    const { service } = place;
    const victim = phone();
    const { body: { request_id } } = await post(`${service.url}/v1/otp/send`, { phone_number: victim });
    const codes = [];
    for (let n = 0; n < 10; n += 1) {
      const number = phone();
      codes.push([(await post(`${service.url}/v1/otp/send`, { phone_number: number })).body.request_id, number]);
    }
    const held = all.database.ask(`
      BEGIN; SELECT 1 FROM phone_throttles JOIN otp_requests USING (phone_index) WHERE id = '${request_id}'
        FOR UPDATE OF phone_throttles; SELECT pg_sleep(4); COMMIT`);
    await all.proxy.ready(async () => Number(await all.database.ask(
      "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(4)%' AND pid <> pg_backend_pid()")) > 0);
    const sends = Array.from({ length: 300 }, () => post(`${service.url}/v1/otp/send`, { phone_number: victim }));
    const verifies = [];
    for (const [id, number] of codes) {
      const code = await all.sandbox.code(number);
      const verify = () => post(`${service.url}/v1/otp/verify`, { request_id: id, code });
      const [took, { status, body }] = await timed(verify);
      assert.equal(status, 200);
      verifies.push(took);
      const [again] = await timed(() => refresh(service, body.refresh_token));
      verifies.push(again);
    }
    const answers = await Promise.all(sends);
    await held;
    const counts = count(answers);
    assert.deepEqual(Object.keys(counts).sort(), ['429 rate_limited', '503 service_unavailable']);
    t.diagnostic(`300 sends at once for a row that is locked for 4 s: ${JSON.stringify(counts)}; 10 verifies and ` +
      `10 refreshes beside them all served, the slowest in ${ms(Math.max(...verifies))}`);
  });
});

describe('bodies and heads', () => {
  const head = (length) => 'POST /v1/otp/send HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n' + length;

  test('that are too long are refused before they are read', async (t) => {
    const memory = await place.metric('process_resident_memory_bytes');
    const told = [];
    for (const [what, bytes, status] of [
      ['a gigabyte announced', head('Content-Length: 1000000000\r\n\r\n'), 413],
      ['a chunk of a gigabyte', head('Transfer-Encoding: chunked\r\n\r\n3b9aca00\r\n'), 413],
      ['a head without end', 'GET / HTTP/1.1\r\nHost: a\r\nX: ', 431],
      ['a path without end', 'GET /', 431],
    ]) {
      const [took, { text, taken }] = await timed(() => pour(port, bytes, 20e9));
      const [answer] = statuses(text);
      told.push(`${what}: ${answer ?? 'closed'}, closed after ${ms(took)} and ${(taken / 1e6).toFixed(1)} MB`);
      assert.ok([status, undefined].includes(answer), `${what}: ${text.slice(0, 200)}`);
    }
    const grown = await place.metric('process_resident_memory_bytes') - memory;
    t.diagnostic(`${told.join('; ')}; the service grew by ${(grown / 1e6).toFixed(1)} MB`);
    assert.ok(grown < 50e6);
  });

  test('that are compressed are not decompressed', async () => {
    const { gzipSync } = await import('node:zlib');
    const bomb = gzipSync(Buffer.alloc(10e6, ' '));
    const answer = await fetch(`${place.service.url}/v1/otp/send`, {
      method: 'POST', body: bomb, headers: { 'content-type': 'application/json', 'content-encoding': 'gzip' },
    });
    assert.equal(answer.status, 415);
  });

  test('of 1,000 headers, and of 1,000 levels', async () => {
    const headers = Array.from({ length: 1000 }, (_, n) => `x-${n}: a\r\n`).join('');
    const many = await exchange(port, `GET / HTTP/1.1\r\nHost: a\r\n${headers}Connection: close\r\n\r\n`);
    assert.deepEqual(statuses(many), [431]);
    const answer = await fetch(`${place.service.url}/v1/otp/send`, {
      method: 'POST', body: '['.repeat(8000), headers: { 'content-type': 'application/json' },
    });
    const { code } = await answer.json();
    assert.deepEqual([answer.status, code], [400, 'invalid_request']);
  });
});

describe('requests in two minds', () => {
  test('the check sees a second request', async () => {
    assert.ok((await exchange(port, PIPELINED)).includes(ANSWERED));
  });

  test('no second request comes in behind a first', async (t) => {
    const table = [];
    for (const [name, bytes] of SMUGGLED) {
      const row = { name };
      for (const [way, at] of [['direct', port], ['HAProxy', all.proxyPort]]) {
        const text = await exchange(at, bytes);
        row[way] = statuses(text).join(' ') || 'closed';
        if (text.includes(ANSWERED)) row[way] += ', and a second request answered';
      }
      table.push(row);
    }
    // Where HAProxy sees two requests it passes each on by itself, over a connection of its own.
    for (const { name, direct, HAProxy } of table) t.diagnostic(`${name}: ${direct}; behind HAProxy ${HAProxy}`);
    assert.deepEqual(table.filter((row) => row.direct.includes('second')), []);
  });
});

// The last: what it sends is all that the sandbox takes in 10 s.
describe('more sends than the provider takes', () => {
  test('are told to come back', async (t) => {
    const { service } = place;
    await all.sandbox.arm({ kind: 'slow', delay_ms: 2000, times: 600 });
    const send = () => post(`${service.url}/v1/otp/send`, { phone_number: phone() });
    const [took, answers] = await timed(() => Promise.all(Array.from({ length: 1500 }, send)));
    const counts = count(answers);
    for (const { status, headers } of answers) {
      // 504: it took longer than startmessaging.timeout_ms, as it may on a loaded machine.
      assert.ok([201, 503, 504].includes(status), JSON.stringify(counts));
      if (status === 503) assert.ok(Number(headers.get('retry-after')) >= 1);
    }
    assert.ok(answers.some(({ status }) => status === 503), JSON.stringify(counts));
    t.diagnostic(`1,500 sends at once to a provider that takes 2 s: ${JSON.stringify(counts)}, all in ${ms(took)}`);
  });
});
