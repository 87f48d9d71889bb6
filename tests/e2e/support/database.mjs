// A database of its own for each test file, on the server that DATABASE_URL names.

import { randomBytes } from 'node:crypto';

import { environment, output } from './program.mjs';

const SERVER = process.env.DATABASE_URL;

/** An empty database. */
export class Database {
  static async create(server = SERVER) {
    const name = `e2e_${randomBytes(6).toString('hex')}`;
    await psql(server, `CREATE DATABASE ${name}`);
    const url = new URL(server);
    url.pathname = `/${name}`;
    return new Database(name, url);
  }

  constructor(name, url) {
    this.name = name;
    this.url = url.href;
    this.password = decodeURIComponent(url.password);
  }

  /** What a statement answers: columns separated by `|`, rows by line feeds. */
  async ask(statement) {
    return (await psql(this.url, statement)).trim();
  }

  /** All of it, as a backup would hold it. */
  dump() {
    return output('pg_dump', ['--dbname', this.url], { env: environment() });
  }

  async drop() {
    await psql(SERVER, `DROP DATABASE ${this.name} WITH (FORCE)`);
  }
}

function psql(url, statement) {
  const args = ['--no-psqlrc', '--quiet', '--tuples-only', '--no-align', '--set=ON_ERROR_STOP=1'];
  return output('psql', [...args, '--dbname', url, '--command', statement]);
}
