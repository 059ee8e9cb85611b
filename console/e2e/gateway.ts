// A real gateway in a process of its own: started on free ports, asked and steered by its operators' API, ended by its
// process id.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';

import { keepLog, recording, secret } from '../../sdk/ts/test/record';

/** The binary under test. */
export const BIN = resolve(process.env['LYCHGATE_BIN'] ?? join(import.meta.dirname, '../../target/debug/lychgate'));

const START_MS = 30_000;
const STOP_MS = 15_000;
const SECRET = 'a secret for tests alone, of 32 bytes or more';

/** What is written into its file, besides what every gateway of a test has. */
export interface Settings {
  /** The origin of the pages, as the browser sees it. */
  publicUrl: string;
  /** The issuer of logins. */
  issuer?: string;
  /** TOML, in dotted keys. */
  toml?: string;
}

interface Address {
  listen: number;
  admin: number;
}

export class Gateway {
  #process: ChildProcess | undefined;
  #address: Address | undefined;
  readonly #directory = mkdtempSync(join(tmpdir(), 'lychgate-e2e-'));
  readonly #key: string;

  private constructor(settings: Settings) {
    const made = execFileSync(BIN, ['admin-key', 'e2e', '--role', 'write'], { encoding: 'utf8' });
    const [key, hash] = [/lychgate_[\w-]{20,}/.exec(made)?.[0], /sha256:[^"\s]+/.exec(made)?.[0]];
    if (key === undefined || hash === undefined) throw new Error('`lychgate admin-key` printed no key');
    this.#key = secret(key);
    writeFileSync(this.#file, configuration(settings, hash, join(this.#directory, 'journal')));
  }

  static async start(settings: Settings): Promise<Gateway> {
    const gateway = new Gateway(settings);
    await gateway.start();
    return gateway;
  }

  get listen(): number {
    return this.#running.listen;
  }

  /** Base address of the admin listener. */
  get admin(): string {
    return `http://127.0.0.1:${this.#running.admin}`;
  }

  /** A key with the role `write`. */
  get key(): string {
    return this.#key;
  }

  /** Starts it, also again after its end: on other ports, with the same journal. */
  async start(): Promise<void> {
    const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('LYCHGATE__')));
    const child = spawn(BIN, ['serve', '--config', this.#file], { env: recording(env), stdio: ['ignore', 'ignore', 'pipe'] });
    keepLog(child);
    this.#process = child;
    this.#address = await serving(child);
  }

  /** Changes its file and has it read again. */
  reload(edit: (toml: string) => string): void {
    writeFileSync(this.#file, edit(readFileSync(this.#file, 'utf8')));
    if (!this.#process) throw new Error('the gateway does not run');
    this.#process.kill('SIGHUP');
  }

  /** SIGKILL: nothing is said to anybody. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL');
  }

  /** SIGTERM: it drains. Resolves when the process is gone. */
  async drain(): Promise<void> {
    await this.#end('SIGTERM');
  }

  /** Ends it, if it runs, and removes what it wrote. */
  async stop(): Promise<void> {
    await this.#end('SIGKILL');
    rmSync(this.#directory, { recursive: true, force: true });
  }

  /** A token for this user, good for so long. */
  token(user: string, expires = '1h'): string {
    const args = ['token', '--config', this.#file, '--user', user, '--expires', expires];
    return secret(execFileSync(BIN, args, { encoding: 'utf8' }).trim());
  }

  /** Asks the operators' API; throws where it says no. */
  async ask(method: string, path: string, body?: object): Promise<unknown> {
    const headers = { authorization: `Bearer ${this.#key}`, 'content-type': 'application/json' };
    const response = await fetch(this.admin + path, { method, headers, ...(body && { body: JSON.stringify(body) }) });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return text === '' ? undefined : JSON.parse(text);
  }

  /** The sum of a metric over its labels. */
  async metric(name: string): Promise<number> {
    const text = await (await fetch(`${this.admin}/metrics`)).text();
    const lines = text.split('\n').filter((line) => line.startsWith(`${name} `) || line.startsWith(`${name}{`));
    return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0);
  }

  get #file(): string {
    return join(this.#directory, 'lychgate.toml');
  }

  get #running(): Address {
    if (!this.#address) throw new Error('the gateway does not run');
    return this.#address;
  }

  async #end(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    this.#address = undefined;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    child.kill(signal);
    const late = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
    await gone;
    clearTimeout(late);
  }
}

/** Dotted keys alone: they may stand in any order, which tables may not. */
function configuration({ publicUrl, issuer, toml = '' }: Settings, hash: string, journal: string): string {
  const login =
    issuer === undefined
      ? ''
      : `
login.providers.test.title = "the test provider"
login.providers.test.issuer_url = "${issuer}"
login.providers.test.client_id = "chat"`;
  return `
server.listen = "127.0.0.1:0"
server.admin_listen = "127.0.0.1:0"
server.public_url = "${publicUrl}"
server.environment = "test"
server.connects_per_second_per_address = 1000
journal.directory = "${journal}"
auth.shared_users = true
auth.jwt.secret = "${SECRET}"
log.format = "json"
admin.keys.e2e.hash = "${hash}"
admin.keys.e2e.role = "write"
${login}
${toml}`;
}

/** Waits for the line, as JSON or as text, that says where it listens; says what it wrote if it ends before. */
function serving(child: ChildProcess): Promise<Address> {
  return new Promise((resolve, reject) => {
    const said: string[] = [];
    const late = setTimeout(
      () => reject(new Error(`the gateway did not start in ${START_MS} ms:\n${said.join('\n')}`)),
      START_MS,
    );
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`the gateway ended with ${code}:\n${said.join('\n')}`)));
    if (!child.stderr) return reject(new Error('the gateway has no standard error'));
    createInterface(child.stderr).on('line', (line) => {
      if (said.length < 50) said.push(line);
      const listen = /\blisten"?[=:]"?127\.0\.0\.1:(\d+)/.exec(line)?.[1];
      const admin = /\badmin"?[=:]"?127\.0\.0\.1:(\d+)/.exec(line)?.[1];
      if (listen === undefined || admin === undefined) return;
      clearTimeout(late);
      resolve({ listen: Number(listen), admin: Number(admin) });
    });
  });
}

/** `lychgate demo`: its address for browsers, and the way to end it. */
export async function startDemo(): Promise<{ origin: string; stop: () => Promise<void> }> {
  const child = spawn(BIN, ['demo', '--port', '0'], { stdio: ['ignore', 'pipe', 'pipe'] });
  const { listen } = await serving(child);
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const stop = async () => {
    child.kill('SIGKILL');
    await gone;
  };
  return { origin: `http://localhost:${listen}`, stop };
}
