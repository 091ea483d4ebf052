import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, fstatSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { KeysteadError } from '@keystead/core/errors';
import type { Confinement } from './confinement.ts';

const PROGRAM = fileURLToPath(new URL('../cli/main.ts', import.meta.url));

export interface ServiceOptions {
  readonly name: string;
  /** The script to run; the `keystead` program itself unless another is named. */
  readonly script?: string;
  /** Its arguments; nothing secret, since every user can read them. */
  readonly args: readonly string[];
  /** What goes over file descriptor 3 as one JSON document: the only way in for secrets. */
  readonly secrets: unknown;
  readonly logFile: string;
  /** What narrows the process; nothing unless told. */
  readonly confinement?: Confinement;
  /** Called when the process ends without having been asked to. */
  readonly onExit: (how: string) => void;
}

/**
 * A service in a process of its own. It says that it is ready with one JSON line on standard output, logs
 * to a file, and ends by itself when its standard input closes, so that none outlives a killed parent.
 */
export class Service {
  readonly #child: ChildProcess;
  readonly #name: string;
  /** Where in the log this process began: what stands before was said by earlier ones. */
  readonly #logFrom: number;
  #stopping = false;
  readonly ready: Promise<Record<string, unknown>>;
  readonly #ended: Promise<void>;

  constructor(options: ServiceOptions) {
    this.#name = options.name;
    mkdirSync(dirname(options.logFile), { recursive: true, mode: 0o700 });
    const log = openSync(options.logFile, 'a', 0o600);
    this.#logFrom = fstatSync(log).size;
    const { prefix, nodeFlags } = options.confinement ?? { prefix: [], nodeFlags: [] };
    const node = [process.execPath, '--disable-warning=ExperimentalWarning', ...nodeFlags];
    const [command = process.execPath, ...args] = [...prefix, ...node, options.script ?? PROGRAM, ...options.args];
    this.#child = spawn(command, args, {
      stdio: ['pipe', 'pipe', log, 'pipe'],
      // A terminal's Ctrl-C is for the story to handle, which then stops its services in order.
      detached: true,
    });
    closeSync(log);
    const secrets = this.#child.stdio[3];
    if (secrets !== null && secrets !== undefined && 'end' in secrets) {
      secrets.on('error', () => {});
      secrets.end(JSON.stringify(options.secrets));
    }
    this.#child.stdin?.on('error', () => {});
    this.#ended = new Promise((resolve) => {
      this.#child.once('exit', (code, signal) => {
        if (!this.#stopping) options.onExit(signal ?? `exit code ${code}`);
        resolve();
      });
    });
    this.ready = this.#firstLine(options);
    this.ready.catch(() => {});
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  async #firstLine(options: ServiceOptions): Promise<Record<string, unknown>> {
    const out = this.#child.stdout;
    if (out !== null) {
      for await (const line of createInterface({ input: out })) {
        if (!line.startsWith('{')) continue;
        out.resume();
        return JSON.parse(line) as Record<string, unknown>;
      }
    }
    await this.#ended;
    throw new KeysteadError('service.did-not-start', {
      field: options.name,
      seen: lastWords(options.logFile, this.#logFrom),
      remedy: `read ${options.logFile}`,
    });
  }

  /** Asks the service to end, waits, and ends it by force after `patienceMs`. */
  async stop(patienceMs = 10_000): Promise<void> {
    this.#stopping = true;
    this.#child.kill('SIGTERM');
    const force = setTimeout(() => this.#child.kill('SIGKILL'), patienceMs);
    await this.#ended;
    clearTimeout(force);
  }

  get name(): string {
    return this.#name;
  }
}

/** The last thing that the program said to people, which is why it did not start; without what it logs as JSON. */
function lastWords(logFile: string, from: number): string | undefined {
  const lines = readFileSync(logFile).toString('utf8', from).split('\n');
  return lines.findLast((line) => line.startsWith('keystead: '))?.slice('keystead: '.length);
}
