// A real redis-server for a test: on a free port, without a file, ended by its process id.

import { type ChildProcess, spawn } from 'node:child_process';
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';

const START_MS = 20_000;

/** A port that was free may be taken before the server has it. */
const ATTEMPTS = 10;

export class Redis {
  private constructor(
    private readonly process: ChildProcess,
    private readonly port: number,
  ) {}

  static async start(): Promise<Redis> {
    for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
      const port = await freePort();
      const args = ['--port', `${port}`, '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'];
      const child = spawn('redis-server', args, { stdio: ['ignore', 'pipe', 'ignore'] });
      if (await serves(child)) return new Redis(child, port);
      child.kill('SIGKILL');
    }
    throw new Error('redis-server does not start: is the package `redis-server` installed?');
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  /** It stands still; its sockets stay open. */
  freeze(): void {
    this.process.kill('SIGSTOP');
  }

  /** It goes on where it was stopped. */
  thaw(): void {
    this.process.kill('SIGCONT');
  }

  async stop(): Promise<void> {
    const gone = new Promise<void>((resolve) => this.process.once('exit', () => resolve()));
    this.process.kill('SIGKILL');
    await gone;
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      const port = typeof address === 'object' && address !== null ? address.port : 0;
      server.close(() => resolve(port));
    });
  });
}

/** Whether it takes connections; false where it ends before, or takes too long. */
function serves(child: ChildProcess): Promise<boolean> {
  return new Promise((resolve) => {
    const late = setTimeout(() => resolve(false), START_MS);
    const end = (is: boolean) => {
      clearTimeout(late);
      resolve(is);
    };
    child.once('error', () => end(false));
    child.once('exit', () => end(false));
    if (!child.stdout) return end(false);
    createInterface(child.stdout).on('line', (line) => {
      if (line.includes('Ready to accept connections')) end(true);
    });
  });
}
