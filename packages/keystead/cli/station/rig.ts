import { spawn } from 'node:child_process';
import { KeysteadError } from '@keystead/core/errors';

/** How the rig says that it is not ready yet (sysexits.h, EX_TEMPFAIL). */
const NOT_YET = 75;
/** How often a rig that is not ready is asked. */
const TRIES = 3;
const BETWEEN_TRIES_MS = 1000;
/** A request is a few kB. */
const MOST_OUTPUT = 64 * 1024;
const MOST_COMPLAINT = 200;

/** A command of the test rig, as the shell takes it. */
export interface RigCommand {
  readonly command: string;
  readonly timeoutMs: number;
  /** What it is told by KEYSTEAD_STATION and KEYSTEAD_LINE. */
  readonly station: string;
  readonly line: string;
}

interface Ended {
  readonly status: number;
  readonly output: string;
  /** The last line of what it said on standard error. */
  readonly complaint: string;
}

/**
 * Has the rig make the unit's key and request. Contract: the device id is the last argument and stands in
 * KEYSTEAD_DEVICE_ID; standard output is a PEM request; 0 is done, 75 not yet (asked 3 times), all else a fail; what it
 * says on standard error is shown to the operator. It is ended, with all that it started, when its time is over.
 * @throws KeysteadError `station.rig-failed`.
 */
export async function requestByRig(rig: RigCommand, deviceId: string, signal: AbortSignal): Promise<string> {
  for (let attempt = 1; ; attempt += 1) {
    const { status, output, complaint } = await run(rig, deviceId, signal, { KEYSTEAD_ATTEMPT: String(attempt) });
    if (status === NOT_YET && attempt < TRIES) {
      await new Promise((resolve) => setTimeout(resolve, BETWEEN_TRIES_MS));
      continue;
    }
    if (status !== 0) throw failed('station.rig-failed', status, complaint);
    const [pem] =
      /-----BEGIN (NEW )?CERTIFICATE REQUEST-----[\s\S]*?-----END \1?CERTIFICATE REQUEST-----/.exec(output) ?? [];
    if (pem === undefined) throw failed('station.rig-failed', status, 'no PEM request on its standard output');
    return `${pem}\n`;
  }
}

/**
 * Has the rig put the certificate into the unit: the same contract, with the certificate and what leads to the root, PEM,
 * on its standard input, and the directory of the unit's files in KEYSTEAD_OUT.
 * @throws KeysteadError `station.install-failed`.
 */
export async function installByRig(
  rig: RigCommand,
  unit: { readonly deviceId: string; readonly pem: string; readonly out: string },
  signal: AbortSignal,
): Promise<void> {
  const { status, complaint } = await run(rig, unit.deviceId, signal, { KEYSTEAD_OUT: unit.out }, unit.pem);
  if (status !== 0) throw failed('station.install-failed', status, complaint);
}

const failed = (code: 'station.rig-failed' | 'station.install-failed', status: number, complaint: string) =>
  new KeysteadError(code, { field: 'rig', seen: complaint === '' ? `it ended with ${status}` : complaint });

function run(
  { command, timeoutMs, station, line }: RigCommand,
  deviceId: string,
  signal: AbortSignal,
  more: Readonly<Record<string, string>>,
  input = '',
): Promise<Ended> {
  return new Promise((resolve) => {
    // The id is an argument of its own, so that nothing that was scanned is ever read by the shell.
    const child = spawn('/bin/sh', ['-c', `${command} "$1"`, 'rig', deviceId], {
      stdio: ['pipe', 'pipe', 'pipe'],
      detached: true,
      env: { ...process.env, KEYSTEAD_DEVICE_ID: deviceId, KEYSTEAD_STATION: station, KEYSTEAD_LINE: line, ...more },
    });
    const parts: Buffer[] = [];
    let complaint = '';
    let size = 0;
    let over = '';
    const end = (why: string): void => {
      over = why;
      try {
        // The group: a shell's children would go on.
        if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
      } catch {
        // It has ended by itself.
      }
    };
    const timer = setTimeout(() => end(`no answer within ${timeoutMs / 1000} s`), timeoutMs);
    const stop = (): void => end('stopped');
    signal.addEventListener('abort', stop, { once: true });
    child.stdin.on('error', () => {});
    child.stdin.end(input);
    child.stdout.on('data', (part: Buffer) => {
      size += part.length;
      if (size > MOST_OUTPUT) end(`more than ${MOST_OUTPUT} bytes of output`);
      else parts.push(part);
    });
    child.stderr.on('data', (part: Buffer) => {
      complaint = `${complaint}${part.toString('utf8')}`.slice(-4096);
    });
    const settle = (status: number): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', stop);
      const last = complaint.trim().split('\n').at(-1) ?? '';
      // biome-ignore lint/suspicious/noControlCharactersInRegex: what a rig says is shown on a terminal
      const shown = last.replace(/[\u0000-\u001f\u007f-\u009f]/g, ' ').slice(0, MOST_COMPLAINT);
      resolve({ status, output: Buffer.concat(parts).toString('utf8'), complaint: over === '' ? shown : over });
    };
    child.on('error', (error) => {
      complaint = error.message;
      settle(127);
    });
    child.on('close', (status) => settle(over === '' ? (status ?? 1) : 1));
  });
}
