// The example services of examples/, started as their owners would.

import { existsSync } from 'node:fs';
import { copyFile, mkdtemp, rm, symlink } from 'node:fs/promises';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { OTP_AUTH, PATIENCE, Program, environment } from './program.mjs';

export const file = (path) => fileURLToPath(new URL(`../../../${path}`, import.meta.url));

/** The three, by name: each answers when it is there; `stop` ends all. */
export async function startSiblings(settings) {
  const rust = join(dirname(OTP_AUTH), 'examples', 'sibling');
  if (!existsSync(rust)) throw new Error(`found no ${rust}; build it: cargo build --locked --examples`);
  // Where npm would have put jose, beside the script.
  const directory = await mkdtemp(join(tmpdir(), 'otp-auth-e2e-'));
  await symlink(file('tests/e2e/node_modules'), join(directory, 'node_modules'));
  for (const name of ['sibling.mjs', 'revocations.mjs']) {
    await copyFile(file(`examples/${name}`), join(directory, name));
  }
  const commands = {
    'sibling.rs': [rust],
    'sibling.py': [process.env.OTP_AUTH_PYTHON, file('examples/sibling.py')],
    'sibling.mjs': [process.execPath, ...process.execArgv, join(directory, 'sibling.mjs')],
  };
  const programs = [];
  const stop = async () => {
    const ends = await Promise.all(programs.map((program) => program.stop()));
    await rm(directory, { recursive: true });
    return ends;
  };
  const urls = {};
  try {
    for (const [name, [program, ...args]] of Object.entries(commands)) {
      const port = await freePort();
      const env = environment({ ...settings, PORT: `${port}`, PYTHONDONTWRITEBYTECODE: '1' });
      programs.push(new Program(program, args, { env }));
      urls[name] = `http://127.0.0.1:${port}`;
    }
    await Promise.all(Object.values(urls).map(answers));
  } catch (error) {
    for (const { name, lines } of programs) console.error(name, lines);
    await stop();
    throw error;
  }
  return { urls, programs, stop };
}

/** A port that nobody listens at. */
async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

/** Waits until something answers at an address. */
async function answers(url) {
  const limit = AbortSignal.timeout(PATIENCE);
  for (;;) {
    try {
      await fetch(url);
      return;
    } catch {
      limit.throwIfAborted();
    }
  }
}
