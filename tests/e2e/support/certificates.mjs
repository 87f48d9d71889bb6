// An authority that nobody knows, and certificates of it, made by openssl.

import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { environment, output } from './program.mjs';

const CONFIG = `
[ca]
default_ca = authority
[authority]
database = index.txt
new_certs_dir = .
rand_serial = yes
default_md = sha256
policy = policy
[policy]
commonName = supplied
`;
const KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
/** As openssl wants it: 20260101000000Z */
const time = (date) => `${date.toISOString().replaceAll(/[-:T]|\.\d+/g, '')}`;
const daysFromNow = (days) => time(new Date(Date.now() + days * 86_400_000));

export class Authority {
  static async create(directory) {
    const authority = new Authority(directory);
    await writeFile(join(directory, 'ca.cnf'), CONFIG);
    await writeFile(join(directory, 'index.txt'), '');
    await authority.#openssl(
      'req', '-x509', ...KEY, '-keyout', 'ca.key', '-out', 'ca.pem', '-subj', '/CN=authority');
    return authority;
  }

  constructor(directory) {
    this.directory = directory;
    this.file = join(directory, 'ca.pem');
  }

  /** A key and a certificate for a name such as `DNS:a.example`, from one day to another. */
  async issue(id, name, [from, to] = [-1, 1]) {
    await writeFile(join(this.directory, `${id}.ext`), `subjectAltName=${name}\nbasicConstraints=CA:FALSE\n`);
    await this.#openssl('req', ...KEY, '-keyout', `${id}.key`, '-out', `${id}.csr`, '-subj', `/CN=${id}`);
    await this.#openssl(
      'ca', '-batch', '-notext', '-config', 'ca.cnf', '-cert', 'ca.pem', '-keyfile', 'ca.key',
      '-in', `${id}.csr`, '-out', `${id}.pem`, '-extfile', `${id}.ext`,
      '-startdate', daysFromNow(from), '-enddate', daysFromNow(to));
    const read = (extension) => readFile(join(this.directory, `${id}.${extension}`));
    return { key: await read('key'), cert: await read('pem') };
  }

  #openssl(...args) {
    // It reads and writes beside what it was given.
    return output('sh', ['-c', 'cd "$1" && shift && exec openssl "$@"', 'sh', this.directory, ...args], {
      env: environment(),
    });
  }
}
