import { mkdirSync, readdirSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { toPem } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import { type Command, InvalidArgumentError } from 'commander';
import { systemClock } from '../../clock/system.ts';
import { becomeSole } from '../../keyd/single.ts';
import type { StateView } from '../../protocols/station/index.ts';
import { EXIT } from '../exit.ts';
import { Line, type LineEnd } from './line.ts';
import { NodeLink } from './link.ts';
import { connect, type PlaceOptions } from './place.ts';
import { UnitQueue } from './queue.ts';
import type { RigCommand } from './rig.ts';
import { ScannerLines } from './scanner.ts';
import { JsonScreen, PeopleScreen, type Screen } from './screen.ts';
import { makeSignOn, type OperatorKeyOptions } from './signing.ts';

export interface RunOptions extends PlaceOptions, OperatorKeyOptions {
  rig?: string;
  install?: string;
  csrDir?: string;
  ticketId?: string;
  out?: string;
  rigTimeout: number;
  retry: number;
  once?: boolean;
  json?: boolean;
}

/** How often a directory is looked at. */
const LOOK_EVERY_MS = 300;
const LONGEST_RETRY_MS = 15_000;
const DEVICE_ID = /^[A-Za-z0-9][A-Za-z0-9.-]{0,63}$/;
const CSR_FILE = /^([A-Za-z0-9][A-Za-z0-9.-]{0,63})\.(?:csr|pem|der)$/;

export const seconds = (text: string): number => {
  const value = Number(text);
  if (!(value > 0 && value <= 3600)) throw new InvalidArgumentError('a number of seconds, at most 3600');
  return value * 1000;
};

/** Works at a line until standard input ends, or the directory is empty with --once. */
export async function runStation(options: RunOptions, command: Command): Promise<void> {
  if ((options.rig === undefined) === (options.csrDir === undefined)) {
    command.error('give --rig, or --csr-dir, and not both', { exitCode: EXIT.usage });
  }
  const queueDir = join(options.dir, 'queue');
  mkdirSync(queueDir, { recursive: true, mode: 0o700 });
  const right = await becomeSole(queueDir).catch((cause: unknown) => {
    if (!(cause instanceof KeysteadError)) throw cause;
    throw new KeysteadError('station.queue', { field: queueDir, seen: 'another keystead station that uses it', cause });
  });
  const stop = new AbortController();
  const onSignal = (): void => stop.abort();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, onSignal);
  const { settings, client } = await connect(options);
  try {
    const screen: Screen = options.json === true ? new JsonScreen(process.stdout) : new PeopleScreen(process.stdout);
    const link = new NodeLink(client, () => systemClock.now());
    const state = await signedOn(link, options, settings.station, screen, stop.signal);
    if (state === undefined) {
      process.exitCode = EXIT.unavailable;
      return;
    }
    const queue = new UnitQueue(queueDir);
    const rigOf = (given: string | undefined): RigCommand | undefined =>
      given === undefined
        ? undefined
        : { command: given, timeoutMs: options.rigTimeout, station: settings.station, line: options.line };
    const line = new Line({
      link,
      queue,
      screen,
      rig: rigOf(options.rig),
      install: rigOf(options.install),
      ticketId: options.ticketId,
      out: options.out ?? join(options.dir, 'units'),
      retryMs: options.retry,
      longestRetryMs: Math.max(options.retry, LONGEST_RETRY_MS),
      now: () => systemClock.now().getTime(),
      signal: stop.signal,
    });
    screen.ready(state, queue.units().length);
    const source =
      options.csrDir === undefined
        ? scanned(new ScannerLines(process.stdin, stop.signal), screen)
        : dropped(options.csrDir, options.once === true, stop.signal);
    let end = await line.workOff();
    const goesOn = (): boolean => end === 'passed' || end === 'failed';
    if (goesOn()) {
      for await (const unit of source) {
        queue.add(unit.deviceId, unit.csr);
        unit.taken?.();
        end = await line.workOff();
        // At once, and not at the next scan: who stands there must hear of it.
        if (!goesOn()) break;
      }
    }
    process.exitCode = stop.signal.aborted ? EXIT.unavailable : EXIT_OF[end];
  } finally {
    client.close();
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, onSignal);
    process.stdin.destroy();
    await right.release();
  }
}

const EXIT_OF: Readonly<Record<LineEnd, number>> = {
  passed: EXIT.done,
  failed: EXIT.notProven,
  stopped: EXIT.unavailable,
  'station refused': EXIT.refused,
};

/**
 * Somebody is signed on here for this line: as it was left before a power cut, or from now on. A node that is away is
 * waited for.
 */
async function signedOn(
  link: NodeLink,
  options: RunOptions,
  station: string,
  screen: Screen,
  signal: AbortSignal,
): Promise<StateView | undefined> {
  let told = '';
  for (;;) {
    try {
      const state = await link.state();
      const { signedOn: shift } = state;
      const { operator, operatorKey, line } = options;
      if (shift !== null && shift.line === line && (operator === undefined || shift.operator === operator))
        return state;
      if (operator === undefined || operatorKey === undefined) {
        throw new KeysteadError('sign-on.needed', {
          field: '--operator',
          seen: shift === null ? 'nobody' : `${shift.operator} at ${shift.line}`,
          remedy: 'give --operator and --operator-key',
        });
      }
      return await link.signOn(
        await makeSignOn({ ...options, operator, operatorKey }, { ...state, station }, systemClock.now()),
      );
    } catch (error) {
      if (!(error instanceof KeysteadError) || error.kind !== 'unavailable') throw error;
      if (error.message !== told)
        screen.note(`The node does not answer; it is tried again by itself. (${error.message})`);
      told = error.message;
      try {
        await pause(options.retry, undefined, { signal });
      } catch {
        return undefined;
      }
    }
  }
}

interface Incoming {
  readonly deviceId: string;
  readonly csr?: string;
  /** Called once it is in the queue. */
  taken?(): void;
}

/** Device ids from a scanner or the keyboard, one a line. */
async function* scanned(lines: ScannerLines, screen: Screen): AsyncGenerator<Incoming> {
  for (;;) {
    const deviceId = await lines.next();
    if (deviceId === undefined) return;
    if (deviceId === '') continue;
    if (DEVICE_ID.test(deviceId)) yield { deviceId };
    else screen.note('That is no device id: scan the label again.');
  }
}

/** Requests that somebody puts into a directory, `<device id>.csr`: each is moved to `taken/` once it is in the queue. */
async function* dropped(dir: string, once: boolean, signal: AbortSignal): AsyncGenerator<Incoming> {
  const taken = join(dir, 'taken');
  mkdirSync(taken, { recursive: true });
  for (;;) {
    for (const name of readdirSync(dir).sort()) {
      const [, deviceId] = CSR_FILE.exec(name) ?? [];
      if (deviceId === undefined || signal.aborted) continue;
      const bytes = readFileSync(join(dir, name));
      const csr = bytes.includes('-----BEGIN') ? bytes.toString('latin1') : toPem('CERTIFICATE REQUEST', bytes);
      // A copy that is under way has no end yet.
      if (!once && !csr.includes('-----END')) continue;
      yield { deviceId, csr, taken: () => renameSync(join(dir, name), join(taken, name)) };
    }
    if (once || signal.aborted) return;
    try {
      await pause(LOOK_EVERY_MS, undefined, { signal });
    } catch {
      return;
    }
  }
}
