// Programs under test: started as a user would, read line by line, and always ended.
//
// Nothing here lets time pass to let something happen: a test waits for a line, an answer or an end,
// and every such wait is given up after PATIENCE with what the program had to say.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

/** How long anything may take, in milliseconds: a loaded machine is slow, and a hang is a failure. */
export const PATIENCE = 30_000;
/** Milliseconds between two looks whether a program answers. */
const BETWEEN_TRIES = 20;

export const OTP_AUTH = process.env.OTP_AUTH_PROGRAM;

/** A file of the repository. */
export const file = (path) => fileURLToPath(new URL(`../../../${path}`, import.meta.url));

/** Waits for a promise, but not for ever; `tell` says what there was instead. */
export async function soon(promise, what, tell = () => '', patience = PATIENCE) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`gave up waiting for ${what}\n${tell()}`)), patience);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Waits until a second has begun, counted since 1970 as in tokens. */
export async function until(second) {
  const left = () => second * 1000 - Date.now();
  if (left() > PATIENCE) throw new Error(`${second} is too far away to wait for`);
  while (left() > 0) await sleep(left());
}

/** What a program sees of our own environment: no settings of otp-auth, no proxies. */
export function environment(settings = {}) {
  const kept = ['HOME', 'LANG', 'PATH', 'TMPDIR', 'USER'];
  const own = kept.filter((name) => name in process.env).map((name) => [name, process.env[name]]);
  return { ...Object.fromEntries(own), ...settings };
}

/** A started program. */
export class Program {
  /** Every line so far, of both streams, in the order they were read: `{ stream, text }`. */
  lines = [];

  #child;
  #waiting = new Set();
  #ended;

  /**
   * `input` is what it reads; `group` puts it in a process group of its own, as a shell does with
   * what a person starts in a terminal.
   */
  constructor(program, args, { env = environment(), input = '', group = false } = {}) {
    this.name = [program.split('/').pop(), ...args].join(' ');
    // The kernel ends it when this process ends, however that ends.
    this.#child = spawn('setpriv', ['--pdeathsig', 'TERM', '--', program, ...args], {
      env,
      detached: group,
    });
    const { stdin, stdout, stderr } = this.#child;
    stdin.on('error', () => {});
    stdin.end(input);
    for (const [stream, source] of Object.entries({ stdout, stderr })) {
      createInterface({ input: source }).on('line', (text) => this.#read({ stream, text }));
    }
    this.#ended = once(this.#child, 'close').then(([code, signal]) => {
      for (const waiting of this.#waiting) waiting.end();
      return { code, signal };
    });
  }

  get pid() {
    return this.#child.pid;
  }

  /** Everything it wrote to one stream. */
  text(stream) {
    const lines = this.lines.filter((line) => line.stream === stream);
    return lines.map((line) => `${line.text}\n`).join('');
  }

  /** The first line that matches, already written or yet to come: the pattern's match. */
  line(pattern) {
    return this.find(({ text }) => pattern.exec(text), pattern);
  }

  /** What `pick` makes of the first line for which it is not nothing. */
  find(pick, what) {
    const written = this.lines.map(pick).find(Boolean);
    if (written) return Promise.resolve(written);
    const { promise, resolve, reject } = deferred();
    const waiting = {
      read: (line) => {
        const picked = pick(line);
        if (picked) resolve(picked);
      },
      end: () => reject(new Error(`${this.name} ended without ${what}\n${this.#tail()}`)),
    };
    this.#waiting.add(waiting);
    const found = soon(promise, `${what} from ${this.name}`, () => this.#tail());
    return found.finally(() => this.#waiting.delete(waiting));
  }

  /** Waits until `isReady` says so, which is asked again and again while the program runs. */
  async ready(isReady) {
    const ended = this.#ended.then(() => { throw new Error(`${this.name} ended\n${this.#tail()}`); });
    const ready = async () => {
      while (!await Promise.race([isReady(), ended])) await sleep(BETWEEN_TRIES);
    };
    await soon(ready(), `${this.name} to answer`, () => this.#tail());
  }

  /** Waits for its end: `{ code, signal }`. */
  ended(patience = PATIENCE) {
    return soon(this.#ended, `the end of ${this.name}`, () => this.#tail(), patience);
  }

  signal(name) {
    this.#child.kill(name);
  }

  /** What Ctrl-C in its terminal does. */
  interrupt() {
    process.kill(-this.pid, 'SIGINT');
  }

  /** Ends it if it runs, and waits for that. */
  async stop() {
    this.signal('SIGTERM');
    try {
      return await this.ended();
    } catch (error) {
      this.signal('SIGKILL');
      throw error;
    }
  }

  #read(line) {
    this.lines.push(line);
    for (const waiting of this.#waiting) waiting.read(line);
  }

  #tail() {
    return this.lines.slice(-30).map((line) => `  ${line.text}`).join('\n');
  }
}

/** Runs a program to its end: `{ code, signal, stdout, stderr }`. */
export async function run(program, args, { patience, ...options } = {}) {
  const started = new Program(program, args, options);
  const end = await started.ended(patience);
  return { ...end, stdout: started.text('stdout'), stderr: started.text('stderr') };
}

/** Runs a program that must succeed, and returns what it printed. */
export async function output(program, args, options) {
  const { code, signal, stdout, stderr } = await run(program, args, options);
  if (code !== 0) throw new Error(`${program} failed with ${code ?? signal}\n${stderr}`);
  return stdout;
}

/** A port for a program that cannot choose one: not one of those that calls to others take meanwhile. */
export async function freePort() {
  for (;;) {
    const port = 10_000 + Math.floor(Math.random() * 20_000);
    const server = createServer();
    const isFree = await new Promise((resolve) => {
      server.once('error', () => resolve(false));
      server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
    });
    if (isFree) return port;
  }
}

function deferred() {
  const parts = {};
  parts.promise = new Promise((resolve, reject) => Object.assign(parts, { resolve, reject }));
  return parts;
}
