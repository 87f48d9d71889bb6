// The example services of examples/, started as their owners would.

import { rm } from 'node:fs/promises';
import { join } from 'node:path';

import { rustExample, withModules } from './examples.mjs';
import { Program, environment, file, freePort } from './program.mjs';
import { statusOf } from './raw_call.mjs';

/** The three, by name: each answers when it is there; `stop` ends all. */
export async function startSiblings(settings) {
  const rust = rustExample('sibling');
  const directory = await withModules('examples/sibling.mjs', 'examples/revocations.mjs');
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
  const ports = [];
  try {
    for (const [name, [program, ...args]] of Object.entries(commands)) {
      const port = await freePort();
      const env = environment({ ...settings, PORT: `${port}`, PYTHONDONTWRITEBYTECODE: '1' });
      programs.push(new Program(program, args, { env }));
      ports.push(port);
      urls[name] = `http://127.0.0.1:${port}`;
    }
    await Promise.all(programs.map((program, at) => (
      program.ready(async () => await statusOf(ports[at], '/') !== undefined)
    )));
  } catch (error) {
    for (const { name, lines } of programs) console.error(name, lines);
    await stop();
    throw error;
  }
  return { urls, programs, stop };
}
