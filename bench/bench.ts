import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { median } from './figure.ts';
import { opensslP256 } from './limits.ts';
import type { LoadResult } from './load/plan.ts';
import { type Generator, hasWrk } from './load/wrk.ts';

export interface BenchOptions {
  /** Short rounds and few of them: to see that it works, not to quote. */
  readonly quick: boolean;
  /** How many moduli the part of that name compares; as `quick` says unless told. */
  readonly moduli?: number;
  /** How many of them are compared at once. */
  readonly group?: number;
  /** Told what is going on. */
  note(text: string): void;
}

/** What every part of one run shares: how long to measure, the limits, a folder, and what to undo at the end. */
export class Bench {
  readonly quick: boolean;
  readonly moduli: number | undefined;
  readonly group: number | undefined;
  readonly note: (text: string) => void;
  readonly rounds: number;
  /** Of one round, seconds. */
  readonly seconds: number;
  readonly generator: Generator = hasWrk() ? 'wrk' : 'own';
  /** For files that end with the run. */
  readonly folder = mkdtempSync(join(tmpdir(), 'keystead-bench-'));
  readonly #undo: (() => unknown)[] = [];
  #openssl: { sign: number; verify: number } | undefined;

  constructor(options: BenchOptions) {
    this.quick = options.quick;
    this.moduli = options.moduli;
    this.group = options.group;
    this.note = options.note;
    this.rounds = options.quick ? 1 : 3;
    this.seconds = options.quick ? 1 : 3;
  }

  /** Called at the end of the run, the last first. */
  defer(undo: () => unknown): void {
    this.#undo.unshift(undo);
  }

  /** P-256 signatures a second of OpenSSL, one process, in this run. */
  get signing(): number {
    if (this.#openssl === undefined) {
      this.note('limit: openssl speed, P-256');
      this.#openssl = opensslP256();
    }
    return this.#openssl.sign;
  }

  /** The middle of the rounds, by rate, after one that only warms up. */
  async measure(what: string, once: (round: number) => Promise<LoadResult>): Promise<LoadResult> {
    const [result] = await this.compare({ [what]: once });
    if (result === undefined) throw new TypeError('nothing was measured');
    return result;
  }

  /** The same for several things whose rounds alternate, so that what else the machine does meets all of them. */
  async compare(work: Readonly<Record<string, (round: number) => Promise<LoadResult>>>): Promise<LoadResult[]> {
    const all = Object.entries(work).map(([what, once]) => ({ what, once, results: [] as LoadResult[] }));
    for (let round = 0; round <= this.rounds; round += 1) {
      for (const { what, once, results } of all) {
        const result = await once(round);
        this.note(`${what}, ${round === 0 ? 'warm-up' : `round ${round}`}: ${Math.round(result.perSecond)}/s`);
        if (round > 0) results.push(result);
      }
    }
    return all.map(({ results }) => {
      const middle = median(results.map((result) => result.perSecond));
      return results.find((result) => result.perSecond === middle) as LoadResult;
    });
  }

  /** Starts a server that is to listen on `port`, and waits until it does. It is ended with the run. */
  async serve(command: string, args: readonly string[], port: number): Promise<void> {
    const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'ignore'] });
    let ended = false;
    child.once('error', () => (ended = true));
    child.once('exit', () => (ended = true));
    this.defer(() => child.kill('SIGKILL'));
    for (let tries = 0; tries < 100 && !ended; tries += 1) {
      if (await isTaken(port)) return;
      await pause(50);
    }
    throw new Error(`${command} ${args[0]} does not listen on ${port}`);
  }

  async close(): Promise<void> {
    for (const undo of this.#undo.splice(0)) {
      try {
        await undo();
      } catch (error) {
        this.note(`could not be undone: ${error}`);
      }
    }
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** A TCP port of the loopback that is free now. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}

function isTaken(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => resolve(true));
    probe.listen({ port, host: '127.0.0.1', exclusive: true }, () => probe.close(() => resolve(false)));
  });
}

/** `p50 2.2 ms, p99 19 ms` of a run. */
export const latency = ({ p50Ms, p99Ms }: LoadResult): string =>
  `p50 ${p50Ms.toFixed(1)} ms, p99 ${p99Ms.toFixed(1)} ms`;
