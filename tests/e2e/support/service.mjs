// `otp-auth serve`, with the settings that every test here shares.

import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { Database } from './database.mjs';
import { get } from './http.mjs';
import { OTP_AUTH, Program, environment } from './program.mjs';
import { Sandbox } from './sandbox.mjs';

export const ISSUER = 'http://127.0.0.1:8080';
export const API_KEY = `sm_live_${randomBytes(20).toString('hex')}`;
export const MASTER_KEY = randomBytes(32).toString('base64');

/** The environment of a service: free ports, and no limit on calls from this one address. */
export function settings({ database, sandbox, ...more }) {
  return environment({
    DATABASE_URL: database.url,
    STARTMESSAGING_API_KEY: API_KEY,
    OTP_AUTH__SERVER__BIND: '127.0.0.1:0',
    OTP_AUTH__SERVER__ADMIN_BIND: '127.0.0.1:0',
    OTP_AUTH__SERVER__ISSUER: ISSUER,
    OTP_AUTH__SERVER__WORKERS: '2',
    OTP_AUTH__SECRETS__MASTER_KEY: MASTER_KEY,
    OTP_AUTH__STARTMESSAGING__BASE_URL: sandbox?.url ?? 'http://127.0.0.1:9',
    // A fault of the account opens the breaker at once.
    OTP_AUTH__PROVIDER__BREAKER_OPEN_MS: '10',
    OTP_AUTH__TELEMETRY__LOG_FORMAT: 'json',
    OTP_AUTH__LIMITS__IP__SENDS_PER_MINUTE: '0',
    OTP_AUTH__LIMITS__IP__SENDS_PER_10_MINUTES: '0',
    OTP_AUTH__LIMITS__IP__SENDS_PER_HOUR: '0',
    OTP_AUTH__LIMITS__IP__VERIFIES_PER_MINUTE: '0',
    OTP_AUTH__LIMITS__IP__PHONES_PER_DAY: '0',
    OTP_AUTH__LIMITS__IP__COUNTRIES_PER_DAY: '0',
    OTP_AUTH__LIMITS__NETWORK__SENDS_PER_MINUTE: '0',
    OTP_AUTH__LIMITS__NETWORK__SENDS_PER_HOUR: '0',
    OTP_AUTH__LIMITS__NETWORK__VERIFIES_PER_MINUTE: '0',
    ...more,
  });
}

/** The `secret_hash` of a confidential client. */
export const secretHash = (secret) =>
  `sha256:${createHash('sha256').update(secret).digest('hex')}`;

/** A running service. */
export class Service {
  static async start(env, args = []) {
    const program = new Program(OTP_AUTH, ['serve', ...args], { env });
    await program.line(/"message":"ready"/);
    return new Service(program);
  }

  constructor(program) {
    this.program = program;
    const { public: listener, admin } = this.log().find((line) => line.message === 'ready');
    this.url = `http://${listener}`;
    this.adminAddress = admin;
  }

  /** Every log line so far, parsed: a line that is not JSON is a failure. */
  log() {
    return this.program.lines
      .filter((line) => line.stream === 'stderr')
      .map((line) => JSON.parse(line.text));
  }

  /** The first log line, already written or yet to come, that has these fields. */
  logged(fields) {
    const fits = (line) => Object.entries(fields).every(([name, value]) => line[name] === value);
    const pick = ({ stream, text }) => {
      const line = stream === 'stderr' && JSON.parse(text);
      return line && fits(line) && line;
    };
    return this.program.find(pick, JSON.stringify(fields));
  }

  /** Waits until the circuit breaker lets a call through. */
  async untilProviderIsCalled() {
    for (;;) {
      const { body } = await get(`http://${this.adminAddress}/readyz`);
      if (body.checks['provider:breaker'][0].observedValue !== 'open') return;
    }
  }

  stop() {
    return this.program.stop();
  }
}

/** A database, a sandbox and a service, as one. */
export class World {
  #others = [];

  /** `config` is the text of a file given by --config, `env` overrides settings. */
  static async start({ config, env = {} } = {}) {
    const world = new World();
    try {
      world.database = await Database.create();
      world.sandbox = await Sandbox.start();
      world.directory = await mkdtemp(join(tmpdir(), 'otp-auth-e2e-'));
      const file = join(world.directory, 'otp-auth.toml');
      if (config) await writeFile(file, config);
      world.args = config ? ['--config', file] : [];
      world.env = settings({ database: world.database, sandbox: world.sandbox, ...env });
      world.service = await Service.start(world.env, world.args);
      return world;
    } catch (error) {
      await world.stop();
      throw error;
    }
  }

  /** Another service on the same database, with other settings. */
  async another(env) {
    const service = await Service.start({ ...this.env, ...env }, this.args);
    this.#others.push(service);
    return service;
  }

  async stop() {
    await Promise.all(this.#others.map((service) => service.stop()));
    await this.service?.stop();
    await this.sandbox?.stop();
    await this.database?.drop();
    if (this.directory) await rm(this.directory, { recursive: true });
  }
}
