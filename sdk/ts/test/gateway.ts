/**
 * A real gateway for tests: a `lychgate` process on a free port, which ends by its process id.
 *
 * ```text
 * Gateway.start({ limits }) -> lychgate.toml in a fresh directory -> lychgate serve -> "gateway.serving" -> url
 * ```
 */

import { createHmac, randomUUID } from 'node:crypto';
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

import { keepLog, recording, secret } from './record.js';

const SECRET = 'a secret for the tests of the client alone';
const READY_WITHIN_MS = 20_000;
const STOPPED_WITHIN_MS = 20_000;
const KEPT_LOG_CHARACTERS = 200_000;

/** One section of lychgate.toml; its name may be dotted (`agents.demo`). */
export type Section = Record<string, string | number | boolean | readonly string[]>;

/** Sections that differ from the tests' own defaults: port 0, environment `test`, the demo agent with 1 ms per word. */
export type Sections = Record<string, Section>;

/** What a token says besides its user. */
export interface TokenClaims {
  /** Seconds; an hour where it is not said. Negative: it has expired. */
  expiresIn?: number;
  plan?: string;
}

/**
 * The binary under test.
 * @throws where there is none: a test that cannot run has to fail, not to pass.
 */
export function binary(): string {
  const fallback = fileURLToPath(new URL('../../../target/debug/lychgate', import.meta.url));
  const path = resolve(process.env['LYCHGATE_BIN'] ?? fallback);
  if (!existsSync(path)) {
    throw new Error(`No gateway at ${path}: run \`cargo build -p lychgate\`, or set LYCHGATE_BIN to one.`);
  }
  return path;
}

/** A token as the gateway's own `lychgate token` makes them. */
export function token(user: string, claims: TokenClaims = {}): string {
  const { expiresIn = 3_600, plan } = claims;
  const now = Math.floor(Date.now() / 1_000);
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const body = { sub: user, iss: 'lychgate', aud: 'lychgate', iat: now, exp: now + expiresIn, jti: randomUUID(), plan };
  const signed = `${part({ typ: 'JWT', alg: 'HS256' })}.${part(body)}`;
  return secret(`${signed}.${createHmac('sha256', SECRET).update(signed).digest('base64url')}`);
}

function toToml(sections: Sections): string {
  const lines = ([name, section]: [string, Section]) => [
    `[${name}]`,
    ...Object.entries(section).map(([key, value]) => `${key} = ${JSON.stringify(value)}`),
  ];
  return `${Object.entries(sections).flatMap(lines).join('\n')}\n`;
}

function merged(base: Sections, over: Sections): Sections {
  const names = new Set([...Object.keys(base), ...Object.keys(over)]);
  return Object.fromEntries([...names].map((name) => [name, { ...base[name], ...over[name] }]));
}

export class Gateway {
  readonly #directory: string;
  #sections: Sections;
  #child: ChildProcess | undefined;
  #listen = '';
  #admin = '';
  #log = '';

  private constructor(directory: string, sections: Sections) {
    this.#directory = directory;
    this.#sections = sections;
  }

  /** Starts one and waits until it serves. `sections` stand over the tests' own defaults. */
  static async start(sections: Sections = {}): Promise<Gateway> {
    const directory = await mkdtemp(join(tmpdir(), 'lychgate-sdk-'));
    const defaults: Sections = {
      server: { listen: '127.0.0.1:0', admin_listen: '127.0.0.1:0', environment: 'test', drain_timeout: '3s' },
      'auth.jwt': { secret: SECRET },
      'agents.demo': { kind: 'demo', delay: '1ms' },
      journal: { kind: 'sqlite', directory: join(directory, 'journal') },
    };
    const gateway = new Gateway(directory, merged(defaults, sections));
    await gateway.#serve();
    return gateway;
  }

  /** Where a client connects: `ws://127.0.0.1:PORT/v1/ws`. */
  get url(): string {
    return `ws://${this.#listen}/v1/ws`;
  }

  /** The origin of the users' routes and pages: `http://127.0.0.1:PORT`. */
  get origin(): string {
    return `http://${this.#listen}`;
  }

  /** The origin of the operators' listener: `http://127.0.0.1:PORT`. */
  get admin(): string {
    return `http://${this.#admin}`;
  }

  /** Of the users' listener. */
  get port(): number {
    return Number(this.#listen.split(':').at(-1));
  }

  get pid(): number {
    const pid = this.#child?.pid;
    if (pid === undefined) throw new Error('The gateway is not running.');
    return pid;
  }

  /** What it wrote to standard error, the newest part of it. */
  get log(): string {
    return this.#log;
  }

  /** A sample of its metrics, by name and labels as they are scraped; 0 where there is none. */
  async metric(sample: string): Promise<number> {
    const text = await (await fetch(`${this.admin}/metrics`)).text();
    const line = text.split('\n').find((one) => one.startsWith(`${sample} `));
    return Number(line?.slice(sample.length + 1) ?? 0);
  }

  /** Kills it as a crash would, SIGKILL. Its port and its journal wait for {@link restart}. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL');
  }

  /** Asks it to drain and to end, SIGTERM, and waits for that. */
  async drain(): Promise<void> {
    await this.#end('SIGTERM');
  }

  /** Starts it again, on the same ports and with the same journal. */
  async restart(sections: Sections = {}): Promise<void> {
    if (this.#child) await this.kill();
    const ports = { server: { listen: this.#listen, admin_listen: this.#admin } };
    this.#sections = merged(merged(this.#sections, sections), ports);
    await this.#serve();
  }

  /** Ends it for good and removes what it kept. */
  async stop(): Promise<void> {
    await this.#end('SIGKILL');
    await rm(this.#directory, { recursive: true, force: true });
  }

  async #serve(): Promise<void> {
    const config = join(this.#directory, 'lychgate.toml');
    await writeFile(config, toToml(this.#sections));
    const child = spawn(binary(), ['serve', '--config', config], {
      env: recording(),
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    keepLog(child);
    this.#child = child;
    this.#log = '';
    let isServing = false;
    await new Promise<void>((ready, failed) => {
      const fail = (why: string) => failed(new Error(`The gateway ${why}:\n${this.#log}`));
      const timer = setTimeout(() => fail('did not serve in time'), READY_WITHIN_MS);
      child.once('error', failed);
      const onEarlyExit = (code: number | null) => fail(`ended with ${code} before it served`);
      child.once('exit', onEarlyExit);
      child.stderr?.setEncoding('utf8').on('data', (text: string) => {
        this.#log = (this.#log + text).slice(-KEPT_LOG_CHARACTERS);
        if (isServing) return;
        const [, listen, admin] = /gateway\.serving.* listen=(\S+) admin=(\S+)/.exec(this.#log) ?? [];
        if (listen === undefined || admin === undefined) return;
        [this.#listen, this.#admin] = [listen, admin];
        isServing = true;
        clearTimeout(timer);
        // This one alone: whoever stops the gateway listens too, while it still writes.
        child.off('exit', onEarlyExit);
        ready();
      });
    });
  }

  async #end(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    await new Promise<void>((ended, failed) => {
      const timer = setTimeout(() => failed(new Error(`The gateway did not end:\n${this.#log}`)), STOPPED_WITHIN_MS);
      child.once('exit', () => {
        clearTimeout(timer);
        ended();
      });
      child.kill(signal);
    });
  }
}

/** Waits until `condition` holds, and says what it waited for where that does not come. */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  withinMs = 15_000,
): Promise<void> {
  const end = Date.now() + withinMs;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`This did not come in ${withinMs} ms: ${what}`);
    await new Promise((next) => setTimeout(next, 5));
  }
}
