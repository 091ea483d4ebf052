import { execFile, execFileSync } from 'node:child_process';
import { globSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The C library, its port, and the programs that test it. */
const LIBRARY = fileURLToPath(new URL('../../c/', import.meta.url));
const HERE = fileURLToPath(new URL('.', import.meta.url));

export const librarySources = (): string[] => globSync(join(LIBRARY, '*.c')).sort();
export const librarySource = (name: string): string => join(LIBRARY, name);
export const testSource = (name: string): string => join(HERE, name);

/** What firmware teams turn on: the library has not one warning under any of it. */
export const STRICT = [
  '-std=c99',
  '-Wall',
  '-Wextra',
  '-Wpedantic',
  '-Werror',
  '-Wshadow',
  '-Wconversion',
  '-Wcast-align',
  '-Wcast-qual',
  '-Wundef',
  '-Wvla',
  '-Wstrict-prototypes',
  '-Wmissing-prototypes',
  '-Wswitch-enum',
];
const PLAIN = STRICT.slice(0, 5);
const SANITIZED = ['-g', '-O1', '-fsanitize=address,undefined', '-fno-sanitize-recover=all'];
export const CORTEX_M = ['-mthumb', '-Os', '-ffunction-sections', '-fdata-sections', '-ffreestanding'];

/** A directory of this test's own, that goes when it does. */
export class Workshop {
  readonly directory = mkdtempSync(join(tmpdir(), 'keystead-device-c-'));

  at(name: string): string {
    return join(this.directory, name);
  }

  run(command: string, args: readonly string[]): string {
    return execFileSync(command, args, { cwd: this.directory, encoding: 'utf8', maxBuffer: 256 << 20 });
  }

  /** Without waiting in this thread: the other side of a comparison works meanwhile. */
  start(command: string, args: readonly string[]): Promise<string> {
    return new Promise((resolve, reject) => {
      execFile(command, args, { cwd: this.directory, encoding: 'utf8', maxBuffer: 256 << 20 }, (error, out, said) => {
        if (error === null) resolve(out);
        else reject(new Error(`${command} ${args.join(' ')}: ${error.message}\n${out.slice(-2000)}\n${said}`));
      });
    });
  }

  #objects: readonly string[] | undefined;

  /** A program for this machine under the address and undefined-behaviour sanitizers, over the library and mbedTLS. */
  hostProgram(name: string, sources: readonly string[], include = this.directory): string {
    const program = this.at(name);
    const port = librarySource('ports/mbedtls.c');
    this.#objects ??= [...librarySources(), port].map((source) => {
      const object = this.at(`host-${basename(source, '.c')}.o`);
      const warnings = source === port ? PLAIN : STRICT;
      this.run('gcc', [...warnings, ...SANITIZED, '-c', source, '-o', object]);
      return object;
    });
    const mbedtls = ['-lmbedtls', '-lmbedx509', '-lmbedcrypto'];
    this.run('gcc', [...PLAIN, ...SANITIZED, `-I${include}`, ...sources, ...this.#objects, '-o', program, ...mbedtls]);
    return program;
  }

  [Symbol.dispose](): void {
    rmSync(this.directory, { recursive: true, force: true });
  }
}
