// Two replicas behind HAProxy, over PgBouncer, from the files of deploy/: in them only addresses, ports and the
// database's name are replaced.

import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { Database } from './database.mjs';
import { call, get } from './http.mjs';
import { OTP_AUTH, Program, file, freePort, run } from './program.mjs';
import { Sandbox } from './sandbox.mjs';
import { Service, settings } from './service.mjs';

/** Milliseconds. */
const SLOW = 30_000;
const PGBOUNCER = process.env.OTP_AUTH_PGBOUNCER;
export const ADMIN_TOKEN = '0123456789abcdef0123456789abcdef';

/** The text with something of it replaced, which must be there. */
function replaced(text, what, by) {
  if (!text.includes(what)) throw new Error(`found no ${what}`);
  return text.replace(what, by);
}

/**
 * A loaded machine is slow, and how slow is not what is tested: all timeouts of statements are longer here. Those
 * of the file are those of the settings.
 */
async function patient(ini) {
  const defaults = await readFile(file('config/default.toml'), 'utf8');
  const [, timeout] = /^statement_timeout_ms = (\d+)$/m.exec(defaults);
  const own = `SET statement_timeout = ${timeout}; SET idle_in_transaction_session_timeout = ${timeout / 2}'`;
  const longer = `SET statement_timeout = ${SLOW}; SET idle_in_transaction_session_timeout = ${SLOW / 2}'`;
  const seconds = replaced(ini, 'query_wait_timeout = 2\n', `query_wait_timeout = ${SLOW / 1000}\n`);
  return replaced(seconds, own, longer);
}

/** A PgBouncer in front of a database. */
class PgBouncer {
  static async start(database, directory) {
    const server = new URL(database.url);
    const user = decodeURIComponent(server.username);
    const port = await freePort();
    const ini = (await patient(await readFile(file('deploy/pgbouncer/pgbouncer.ini'), 'utf8')))
      .replace('otp_auth = host=127.0.0.1 port=5432 dbname=otp_auth',
        `${database.name} = host=${server.hostname} port=${server.port} dbname=${database.name}`)
      .replace('listen_port = 6432', `listen_port = ${port}`)
      .replace('/etc/pgbouncer', directory);
    const quoted = (text) => `"${text.replaceAll('"', '""')}"`;
    await writeFile(join(directory, 'userlist.txt'), `${quoted(user)} ${quoted(database.password)}\n`);
    await writeFile(join(directory, 'pgbouncer.ini'), ini);
    // It refuses to be root.
    const asNobody = process.getuid() === 0 ? ['-u', 'nobody'] : [];
    const program = new Program(PGBOUNCER, [...asNobody, join(directory, 'pgbouncer.ini')]);
    await program.line(/process up/);
    const url = new URL(server);
    url.host = `127.0.0.1:${port}`;
    return { program, url: url.href };
  }
}

/** Where one replica listens, over all its restarts. */
class Place {
  service;
  restarts = 0;
  /** What those that were restarted had to complain of. */
  complaints = [];

  constructor(replicas, number) {
    this.replicas = replicas;
    this.number = number;
  }

  async start() {
    this.port ??= await freePort();
    this.adminPort ??= await freePort();
    this.service = await Service.start({
      ...this.replicas.env,
      ...this.replicas.own[this.number],
      OTP_AUTH__SERVER__BIND: `127.0.0.1:${this.port}`,
      OTP_AUTH__SERVER__ADMIN_BIND: `127.0.0.1:${this.adminPort}`,
    }, this.replicas.args);
  }

  /** What a deploy does: tells it to stop, waits for its end, starts the next one. */
  async restart() {
    this.service.program.signal('SIGTERM');
    const end = await this.service.program.ended();
    this.complaints.push(...this.service.log().filter(({ level }) => ['WARN', 'ERROR'].includes(level)));
    await this.start();
    this.restarts += 1;
    return end;
  }

  /** A metric, by its name and labels. */
  async metric(series) {
    const { body } = await get(`http://${this.service.adminAddress}/metrics`);
    return Number(body.split('\n').find((line) => line.startsWith(`${series} `))?.split(' ')[1]);
  }

  admin(method, path, json) {
    const headers = { authorization: `Bearer ${ADMIN_TOKEN}` };
    return call(method, `http://${this.service.adminAddress}${path}`, { json, headers });
  }
}

/** All of it. */
export class Replicas {
  /** `env` is for both, `own` for each. */
  static async start({ config, env = {}, own = [] }) {
    const all = new Replicas();
    all.own = own;
    try {
      all.database = await Database.create();
      all.sandbox = await Sandbox.start();
      all.directory = await mkdtemp(join(tmpdir(), 'otp-auth-e2e-'));
      all.pooler = await PgBouncer.start(all.database, all.directory);
      const toml = join(all.directory, 'otp-auth.toml');
      await writeFile(toml, config);
      all.args = ['--config', toml];
      all.env = settings({
        database: { url: all.pooler.url },
        sandbox: all.sandbox,
        OTP_AUTH__DATABASE__DIRECT_URL: all.database.url,
        OTP_AUTH__DATABASE__ACQUIRE_TIMEOUT_MS: `${SLOW}`,
        OTP_AUTH__DATABASE__STATEMENT_TIMEOUT_MS: `${SLOW}`,
        OTP_AUTH__SERVER__TRUSTED_PROXIES: '127.0.0.1',
        OTP_AUTH__SECRETS__ADMIN_TOKEN: ADMIN_TOKEN,
        ...env,
      });
      all.places = [new Place(all, 0), new Place(all, 1)];
      for (const place of all.places) await place.start();
      await all.#startProxy();
      return all;
    } catch (error) {
      await all.stop();
      throw error;
    }
  }

  async #startProxy() {
    const [one, two] = this.places;
    this.proxyPort = await freePort();
    this.countPort = await freePort();
    const ports = {
      8000: this.proxyPort, 8404: this.countPort, 8080: one.port, 9090: one.adminPort,
      8081: two.port, 9091: two.adminPort,
    };
    const text = await readFile(file('deploy/haproxy/haproxy.cfg'), 'utf8');
    const path = join(this.directory, 'haproxy.cfg');
    await writeFile(path, text.replace(/\b(80(00|80|81)|8404|909[01])\b/g, (number) => ports[number]));
    this.proxy = new Program('haproxy', ['-db', '-f', path]);
    this.url = `http://127.0.0.1:${this.proxyPort}`;
    await this.proxy.ready(() => this.count().then(() => true, () => false));
    await this.untilAllTakeCalls();
  }

  /** How many replicas HAProxy gives calls to. */
  async count() {
    const { body } = await get(`http://127.0.0.1:${this.countPort}/`);
    return Number(body);
  }

  untilAllTakeCalls() {
    return this.proxy.ready(async () => await this.count() === this.places.length);
  }

  /** What `otp-auth doctor` says of this deployment, by check. */
  async examine(env = {}) {
    const args = ['doctor', '--json', '--timeout', '30', '--replicas', '2', ...this.args];
    const { stdout } = await run(OTP_AUTH, args, { env: { ...this.env, ...env } });
    return JSON.parse(stdout);
  }

  async stop() {
    await this.proxy?.stop();
    await Promise.all((this.places ?? []).map(({ service }) => service?.stop()));
    // SIGTERM waits for clients, whoever they are.
    this.pooler?.program.signal('SIGQUIT');
    await this.pooler?.program.ended();
    await this.sandbox?.stop();
    await this.database?.drop();
    if (this.directory) await rm(this.directory, { recursive: true });
  }
}
