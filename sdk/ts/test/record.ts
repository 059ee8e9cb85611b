/**
 * What tests leave for `cargo xtask test` to search, where it says so with LYCHGATE_TEST_RECORD: the log of every gateway
 * at `trace`, and every credential that was used. Nothing secret may be in a log.
 *
 * ```text
 * DIR/node-<process>-<n>.log       what a gateway wrote to standard error
 * DIR/node-<process>.secrets       one JSON string per line
 * ```
 */

import type { ChildProcess } from 'node:child_process';
import { appendFileSync, createWriteStream } from 'node:fs';
import { join } from 'node:path';

const directory = process.env['LYCHGATE_TEST_RECORD'];
let logs = 0;

/** The environment of a gateway: what is recorded is recorded whole. */
export function recording(env: NodeJS.ProcessEnv = process.env): NodeJS.ProcessEnv {
  return directory === undefined ? env : { ...env, LYCHGATE__LOG__LEVEL: 'trace' };
}

/** Keeps what a gateway logs, beside whoever reads it. */
export function keepLog(gateway: ChildProcess): void {
  if (directory === undefined) return;
  gateway.stderr?.pipe(createWriteStream(join(directory, `node-${process.pid}-${logs++}.log`)));
}

/** Notes what must be in no log: a token, a key, a cookie. Returns it. */
export function secret(text: string): string {
  if (directory !== undefined) appendFileSync(join(directory, `node-${process.pid}.secrets`), `${JSON.stringify(text)}\n`);
  return text;
}
