// The package as who installs it has it: built, in a folder of its own, beside the packages it may be used with.

import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readdir, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const PACKAGE = fileURLToPath(new URL('../', import.meta.url));
const MODULES = fileURLToPath(new URL('../../../node_modules/', import.meta.url));
const run = promisify(execFile);

export class Installed {
  /** Where a program would be written that uses the package. */
  readonly home: string;

  private constructor(home: string) {
    this.home = home;
  }

  static async build(): Promise<Installed> {
    const home = await mkdtemp(join(tmpdir(), 'lychgate-installed-'));
    const modules = join(home, 'node_modules');
    await mkdir(join(modules, '@lychgate', 'client'), { recursive: true });
    for (const name of await readdir(MODULES)) {
      if (name !== '@lychgate') await symlink(join(MODULES, name), join(modules, name));
    }
    const installed = new Installed(home);
    const dist = join(modules, '@lychgate', 'client', 'dist');
    await installed.tool('tsc', ['-p', join(PACKAGE, 'tsconfig.build.json'), '--outDir', dist]);
    await cp(join(PACKAGE, 'package.json'), join(modules, '@lychgate', 'client', 'package.json'));
    return installed;
  }

  /** The built files, as a plain page imports them. */
  get dist(): string {
    return join(this.home, 'node_modules', '@lychgate', 'client', 'dist');
  }

  /** Copies one of the examples; where it is then. */
  async example(name: string): Promise<string> {
    const to = join(this.home, name);
    await cp(join(PACKAGE, 'examples', name), to, { recursive: true });
    return to;
  }

  /** Runs a program of an installed package; fails with what it said. */
  async tool(name: string, args: readonly string[]): Promise<void> {
    await this.#run(join(MODULES, '.bin', name), args, {});
  }

  /** Runs a file with Node; what it wrote. */
  async node(file: string, args: readonly string[], env: Record<string, string>): Promise<string> {
    return this.#run(process.execPath, [file, ...args], env);
  }

  async remove(): Promise<void> {
    await rm(this.home, { recursive: true, force: true });
  }

  async #run(program: string, args: readonly string[], env: Record<string, string>): Promise<string> {
    const options = { cwd: this.home, env: { ...process.env, ...env }, timeout: 60_000 };
    try {
      return (await run(program, args, options)).stdout;
    } catch (error) {
      // What execFile rejects with carries what the program said.
      const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string };
      throw new Error(`${program} ${args.join(' ')} failed:\n${stdout}\n${stderr}`);
    }
  }
}
