// The gateways of deploy/gateways/, started from the files there. In them only these are replaced: the ports
// 8000, 8002, 8080 and 8081 (the gateway twice, otp-auth, the API), and the directories /etc/apache2, /etc/haproxy and
// /etc/traefik.

import { chown, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { Relay, Upstream } from './listeners.mjs';
import { Program, file, freePort, output, run } from './program.mjs';
import { rawCall, statusOf } from './raw_call.mjs';

const recipe = (name) => file(`deploy/gateways/${name}`);
/** A program of target/e2e/gateways, where tests/e2e/run puts what Debian lacks. */
const wheel = (name) => join(process.env.OTP_AUTH_GATEWAYS, 'bin', name);
const NOBODY = 65534;
const APACHE_MODULES = [
  'mpm_event', 'authn_core', 'authz_core', 'headers', 'lua', 'oauth2', 'proxy', 'proxy_http', 'rewrite', 'setenvif',
];

const wrapNginx = (directory) => `
  daemon off;
  pid ${directory}/pid;
  error_log stderr;
  worker_processes 1;
  events {}
  http {
    access_log off;
    client_body_temp_path ${directory}/body;
    proxy_temp_path ${directory}/proxy;
    fastcgi_temp_path ${directory}/fastcgi;
    scgi_temp_path ${directory}/scgi;
    uwsgi_temp_path ${directory}/uwsgi;
    include ${directory}/orders.conf;
  }
`;

const wrapApache = (recipe) => (directory) => `
  ServerName localhost
  ServerRoot ${directory}
  DefaultRuntimeDir ${directory}
  PidFile ${directory}/pid
  ErrorLog ${directory}/error.log
  ${APACHE_MODULES.map((name) => `
    LoadModule ${name}_module /usr/lib/apache2/modules/mod_${name}.so
  `).join('')}
  Include ${directory}/${recipe}.conf
`;

const haproxy = { version: ['haproxy', '-v'], isSystemProgram: true };
const apache = {
  version: ['apache2', '-v'],
  isSystemProgram: true,
  command: (directory) => ['apache2', '-D', 'FOREGROUND', '-f', `${directory}/apache.conf`],
};
const envoy = { version: [wheel('envoy'), '--version'] };

/**
 * Each with its files, the command that starts it in a directory, and where it differs: `otherAudience` and
 * `otherType` are its answers to such tokens, instead of 403 and 401; `keepsKeys` if it does not ask for a new one;
 * `tellsNoEnd` if it sets no `X-Auth-Expires`.
 */
export const GATEWAYS = [
  {
    name: 'nginx', way: 'hook', version: ['nginx', '-v'], isSystemProgram: true,
    files: ['nginx/orders.conf'],
    wrap: { 'nginx.conf': wrapNginx },
    command: (directory) => ['nginx', '-e', 'stderr', '-c', `${directory}/nginx.conf`],
  },
  {
    name: 'HAProxy', way: 'hook', ...haproxy,
    files: ['haproxy/forward-auth.cfg', 'haproxy/otp_auth.lua'],
    command: (directory) => ['haproxy', '-db', '-f', `${directory}/forward-auth.cfg`],
  },
  {
    name: 'HAProxy', way: 'keys', ...haproxy,
    files: ['haproxy/jwks.cfg'],
    prepare: makePems,
    async reload(gateway) {
      await makePems(gateway);
      gateway.program.signal('SIGUSR2');
    },
    command: (directory) => (
      // As the service manager starts it: with a process that can be told to reload.
      ['haproxy', '-W', '-f', `${directory}/jwks.cfg`, '-f', `${directory}/otp-auth/keys.cfg`]
    ),
  },
  {
    name: 'Caddy', way: 'hook', version: [wheel('caddy'), 'version'],
    files: ['caddy/Caddyfile'],
    wrap: { main: (directory) => `{\n\tadmin off\n}\nimport ${directory}/Caddyfile\n` },
    command: (directory) => [wheel('caddy'), 'run', '--adapter', 'caddyfile', '--config', `${directory}/main`],
  },
  {
    name: 'Traefik', way: 'hook', version: [wheel('traefik'), 'version'],
    files: ['traefik/traefik.yml', 'traefik/orders.yml'],
    command: (directory) => [wheel('traefik'), `--configFile=${directory}/traefik.yml`],
  },
  {
    name: 'Envoy', way: 'hook', ...envoy,
    files: ['envoy/forward-auth.yaml'],
    command: (directory) => [wheel('envoy'), '--use-dynamic-base-id', '-c', `${directory}/forward-auth.yaml`],
  },
  {
    name: 'Envoy', way: 'keys', ...envoy, otherType: 403, keepsKeys: true, tellsNoEnd: true,
    files: ['envoy/jwks.yaml'],
    command: (directory) => [wheel('envoy'), '--use-dynamic-base-id', '-c', `${directory}/jwks.yaml`],
  },
  {
    name: 'Apache', way: 'hook', ...apache,
    files: ['apache/forward-auth.conf', 'apache/otp_auth.lua'],
    wrap: { 'apache.conf': wrapApache('forward-auth') },
  },
  {
    name: 'Apache', way: 'keys', ...apache, otherAudience: 401, tellsNoEnd: true,
    files: ['apache/jwks.conf'],
    wrap: { 'apache.conf': wrapApache('jwks') },
  },
];

/** A running gateway between a relay to a service and an upstream. */
export class Gateway {
  /** `mode` is what the relay does at first. */
  static async start(kind, service, mode = 'pass') {
    const gateway = new Gateway();
    try {
      gateway.kind = kind;
      gateway.hook = await new Relay(service.url).start();
      gateway.hook.mode = mode;
      gateway.upstream = await new Upstream().start();
      gateway.port = await freePort();
      gateway.directory = await mkdtemp(join(tmpdir(), 'otp-auth-e2e-'));
      await gateway.#write();
      await gateway.#run();
      await gateway.program.ready(() => gateway.#isReady());
      return gateway;
    } catch (error) {
      await gateway.stop();
      throw error;
    }
  }

  /** One call: `{ gateway, answer, reached }`, the last what reached the API. */
  async ask({ token, headers = [], path = '/orders/1', ...call } = {}) {
    this.upstream.taken();
    this.hook.taken();
    const bearer = token === undefined ? [] : [['Authorization', `Bearer ${token}`]];
    const answer = await rawCall(this.port, { path, headers: [...bearer, ...headers], ...call });
    return { gateway: this, answer, reached: this.upstream.taken() };
  }

  async stop() {
    await this.program?.stop();
    await this.hook?.stop();
    await this.upstream?.stop();
    if (this.directory) await rm(this.directory, { recursive: true });
  }

  async #write() {
    const { directory, kind, port, hook, upstream } = this;
    const ports = { 8000: port, 8002: await freePort(), 8080: hook.port, 8081: upstream.port };
    for (const name of kind.files) {
      const text = (await readFile(recipe(name), 'utf8'))
        .replace(/\b80(00|02|80|81)\b/g, (number) => ports[number])
        .replace(/\/etc\/(apache2|haproxy|traefik)\b/g, directory);
      await writeFile(join(directory, name.split('/').pop()), text);
    }
    for (const [name, text] of Object.entries(kind.wrap ?? {})) {
      await writeFile(join(directory, name), text(directory));
    }
    await kind.prepare?.(this);
  }

  async #run() {
    const command = this.kind.command(this.directory);
    if (this.kind.isSystemProgram && process.getuid() === 0) {
      // As people run it. A change of user forgets the signal that Program asks for.
      await chown(this.directory, NOBODY, NOBODY);
      const user = ['--reuid', NOBODY, '--regid', NOBODY, '--clear-groups', '--pdeathsig', 'TERM', '--'];
      command.unshift('setpriv', ...user.map(String));
    }
    this.program = new Program(command[0], command.slice(1));
  }

  /** Whether it has read its configuration: before that it refuses connections, or says 404. */
  async #isReady() {
    return ![undefined, 404].includes(await statusOf(this.port, '/orders/1'));
  }
}

/** The version of a gateway, as its program says it. */
export async function version({ version: [program, ...args] }) {
  const { code, stdout, stderr } = await run(program, args);
  const found = /\d+\.\d+\.\d+/.exec(stdout + stderr);
  if (code !== 0 || !found) throw new Error(`${program} tells no version\n${stderr}`);
  return found[0];
}

/** What an operator of HAProxy runs by cron. */
function makePems({ directory, hook }) {
  const script = recipe('haproxy/jwks_to_pem.py');
  return output('python3', [script, `http://127.0.0.1:${hook.port}/.well-known/jwks.json`, `${directory}/otp-auth`]);
}
