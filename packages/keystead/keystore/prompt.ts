import { closeSync, openSync } from 'node:fs';
import { ReadStream } from 'node:tty';
import { KeysteadError } from '@keystead/core/errors';

const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;
const CONTROL_C = 0x03;
const CONTROL_D = 0x04;
const CONTROL_U = 0x15;
const BACKSPACE = [0x08, 0x7f];

/**
 * Asks for a passphrase on the controlling terminal, without echo, whatever stdin and stdout are connected to. It is
 * read as bytes into one buffer, never into a string. Backspace and Ctrl-U correct; Ctrl-C gives up.
 * @param ceiling most bytes that are taken.
 * @param what the word by which it is asked for.
 * @throws KeysteadError `passphrase.unavailable` without a terminal, after Ctrl-C, or above the ceiling.
 */
export async function promptPassphrase(ceiling: number, what = 'Passphrase'): Promise<Uint8Array> {
  const terminal = openTerminal();
  try {
    // Before the question: what is typed early must not show either.
    terminal.setRawMode(true);
    process.stderr.write(`${what}: `);
    return await readLine(terminal, ceiling);
  } finally {
    terminal.setRawMode(false);
    process.stderr.write('\n');
    terminal.destroy();
  }
}

function openTerminal(): ReadStream {
  let fd: number | undefined;
  try {
    fd = openSync('/dev/tty', 'r+');
    return new ReadStream(fd);
  } catch (cause) {
    if (fd !== undefined) closeSync(fd);
    throw new KeysteadError('passphrase.unavailable', { field: 'terminal', seen: 'no terminal', cause });
  }
}

function readLine(terminal: ReadStream, ceiling: number): Promise<Uint8Array> {
  const line = new Uint8Array(ceiling);
  let length = 0;
  return new Promise((resolve, reject) => {
    const giveUp = (seen: string): void => {
      line.fill(0);
      reject(new KeysteadError('passphrase.unavailable', { field: 'terminal', seen }));
    };
    terminal.on('end', () => giveUp('the terminal was closed'));
    terminal.on('error', () => giveUp('the terminal failed'));
    terminal.on('data', (chunk: Buffer) => {
      for (const byte of chunk) {
        if (byte === LINE_FEED || byte === CARRIAGE_RETURN || byte === CONTROL_D) resolve(line.subarray(0, length));
        else if (byte === CONTROL_C) giveUp('Ctrl-C');
        else if (byte === CONTROL_U) length = 0;
        else if (BACKSPACE.includes(byte)) length = lengthWithoutLast(line, length);
        else if (length === ceiling) giveUp(`more than ${ceiling} bytes`);
        else {
          line[length] = byte;
          length += 1;
        }
      }
      chunk.fill(0);
    });
  });
}

/** One character back: in UTF-8 its continuation bytes (10xxxxxx) go with it. */
function lengthWithoutLast(line: Uint8Array, length: number): number {
  let shorter = length;
  do shorter = Math.max(0, shorter - 1);
  while (shorter > 0 && ((line[shorter] ?? 0) & 0xc0) === 0x80);
  return shorter;
}
