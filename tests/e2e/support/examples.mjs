// What docs/ and examples/ show, put where others would have it.

import { existsSync } from 'node:fs';
import { copyFile, mkdtemp, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';

import { OTP_AUTH, file } from './program.mjs';

/** The program that is built from an example. */
export function rustExample(name) {
  const program = join(dirname(OTP_AUTH), 'examples', name);
  if (!existsSync(program)) throw new Error(`found no ${program}; build it: cargo build --locked --examples`);
  return program;
}

/** A new directory with these scripts, and jose beside them, where npm would have put it. */
export async function withModules(...scripts) {
  const directory = await mkdtemp(join(tmpdir(), 'otp-auth-e2e-'));
  await symlink(file('tests/e2e/node_modules'), join(directory, 'node_modules'));
  for (const script of scripts) await copyFile(file(script), join(directory, basename(script)));
  return directory;
}
