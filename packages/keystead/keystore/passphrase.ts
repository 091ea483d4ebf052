import { closeSync, fstatSync, openSync, read, type Stats } from 'node:fs';
import { join } from 'node:path';
import { SecretBytes } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { promptPassphrase } from './prompt.ts';
import { type SealedPassphrase, unsealPassphrase } from './tpm2/sealed-passphrase.ts';

/**
 * Where a passphrase comes from. There is no form for argv or the environment: both are read by `ps`, by
 * /proc/<pid>/environ, by crash reports and by every child.
 */
export type PassphraseSource =
  /** An open file descriptor, a pipe most often; read to its end and, unless it is a standard stream, closed. */
  | { readonly fd: number }
  /** The name of a systemd credential (`LoadCredentialEncrypted=`), read from $CREDENTIALS_DIRECTORY. */
  | { readonly credential: string }
  /** A file that belongs to this user and that nobody else may read or write. */
  | { readonly file: string }
  /** A file in which this machine's TPM has sealed it (`keystead tpm seal`). */
  | { readonly tpm2: SealedPassphrase }
  /** The terminal, without echo; it asks for a passphrase unless told what else. */
  | { readonly prompt: true | 'PIN' };

/** A passphrase, not a file that was named by mistake. */
const LENGTH_CEILING = 4096;

/**
 * Reads a passphrase. One line feed (or CR LF) at its end is not part of it; everything else is, as bytes.
 * @throws KeysteadError `passphrase.unavailable` (cannot be read, too long), `passphrase.file-exposed`,
 *   `kdf.passphrase-empty`; `tpm2.*` where a TPM sealed it.
 */
export async function readPassphrase(source: PassphraseSource): Promise<SecretBytes> {
  // What was sealed is the passphrase itself: its line end was taken off before.
  if ('tpm2' in source) return unsealPassphrase(source.tpm2);
  const bytes = await readSource(source);
  const length = lengthOfLine(bytes);
  const passphrase = SecretBytes.copy(bytes.subarray(0, length));
  bytes.fill(0);
  if (length === 0) throw new KeysteadError('kdf.passphrase-empty', { field: 'passphrase' });
  return passphrase;
}

function readSource(source: Exclude<PassphraseSource, { readonly tpm2: SealedPassphrase }>): Promise<Uint8Array> {
  if ('prompt' in source)
    return promptPassphrase(LENGTH_CEILING, source.prompt === true ? 'Passphrase' : source.prompt);
  if ('fd' in source) return readToEnd(source.fd, `file descriptor ${source.fd}`);
  if ('file' in source) return readPrivateFile(source.file, 0o077, true);
  return readCredential(source.credential);
}

function readCredential(name: string): Promise<Uint8Array> {
  // The directory's path is no secret; the credential in it is what systemd protects.
  const directory = process.env.CREDENTIALS_DIRECTORY;
  if (directory === undefined || directory === '') {
    throw unavailable(
      `credential ${name}`,
      'no $CREDENTIALS_DIRECTORY: the service was not started by systemd with it',
    );
  }
  if (!/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}$/.test(name)) throw unavailable('credential', `the name ${name}`);
  // systemd grants its reader by an ACL, whose mask shows as group bits; the owner may be root.
  return readPrivateFile(join(directory, name), 0o007, false);
}

async function readPrivateFile(path: string, forbidden: number, own: boolean): Promise<Uint8Array> {
  const file = openFile(path);
  // Of the open file, not of the path: nobody can put another in its place between the check and the reading.
  const refusal = exposure(fstatSync(file), forbidden, own);
  if (refusal !== undefined) {
    closeSync(file);
    throw new KeysteadError('passphrase.file-exposed', { field: path, seen: refusal });
  }
  return readToEnd(file, path);
}

function openFile(path: string): number {
  try {
    return openSync(path, 'r');
  } catch (cause) {
    throw unavailable(path, cause instanceof Error ? cause.message : 'an error', cause);
  }
}

function exposure(stats: Stats, forbidden: number, own: boolean): string | undefined {
  if (!stats.isFile()) return 'not a regular file';
  if ((stats.mode & forbidden) !== 0) return `mode ${(stats.mode & 0o777).toString(8)}`;
  const user = process.getuid?.();
  return own && user !== undefined && stats.uid !== user ? `owner ${stats.uid}` : undefined;
}

/** Reads to the end into one buffer that can be wiped; closes the descriptor. */
async function readToEnd(fd: number, field: string): Promise<Uint8Array> {
  const buffer = new Uint8Array(LENGTH_CEILING + 1);
  let length = 0;
  try {
    for (;;) {
      const count = await readSome(fd, buffer, length);
      if (count === 0) break;
      length += count;
      if (length > LENGTH_CEILING) throw unavailable(field, `more than ${LENGTH_CEILING} bytes`);
    }
    // A standard stream stays open: a socket that got its number would never be closed, since libuv spares these three.
    if (fd > 2) closeSync(fd);
    return buffer.subarray(0, length);
  } catch (cause) {
    buffer.fill(0);
    if (cause instanceof KeysteadError) throw cause;
    throw unavailable(field, cause instanceof Error ? cause.message : 'an error', cause);
  }
}

/** The bytes read; 0 at the end. A pipe that its writer made non-blocking is asked again until it has something. */
function readSome(fd: number, buffer: Uint8Array, at: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const attempt = (): void => {
      read(fd, buffer, at, buffer.length - at, null, (error, count) => {
        if (error === null) resolve(count);
        else if (error.code === 'EAGAIN') setTimeout(attempt, 5);
        else reject(error);
      });
    };
    attempt();
  });
}

function lengthOfLine(bytes: Uint8Array): number {
  let length = bytes.length;
  if (bytes[length - 1] === 0x0a) {
    length -= 1;
    if (bytes[length - 1] === 0x0d) length -= 1;
  }
  return length;
}

function unavailable(field: string, seen: string, cause?: unknown): KeysteadError {
  return new KeysteadError('passphrase.unavailable', { field, seen, cause });
}
