import { existsSync, statSync } from 'node:fs';
import { KeysteadError } from '@keystead/core/errors';
import { Command } from 'commander';
import { FORMS, type Scanned, scanPath } from '../scan/index.ts';
import { EXIT } from './exit.ts';
import { table } from './operator.ts';
import { progressOf } from './progress.ts';

interface ScanFlags {
  strict?: boolean;
  json?: boolean;
}

/** `keystead scan`: private keys in firmware images and file trees. REQ-KEY-STO-02 */
export function scanCommand(): Command {
  return new Command('scan')
    .description('look for private keys in firmware images and file trees; exit code 1 when one lies in the clear')
    .argument('<path...>', 'files, or directories with all below them; symbolic links are not followed')
    .option('--strict', 'a key under a passphrase, and what cannot be unpacked, count as found too')
    .option('--json', 'one JSON document')
    .addHelpText(
      'after',
      `
Looks for DER, PEM, base64, hexadecimal text, OpenSSH, PuTTY, JSON Web Keys and age identities, also inside gzip, zstd
and zip wherever they begin. xz, bzip2, lz4 and squashfs are named and not unpacked. A raw scalar looks like any other
bytes and is not found. No secret is printed: a key is told by the SHA-256 of its public half.

Examples:
  $ keystead scan firmware.bin
  $ keystead scan --strict --json ./rootfs | jq -r '.keys[].where'`,
    )
    .action(async (paths: string[], flags: ScanFlags) => {
      const found: Scanned[] = [];
      for (const path of paths) {
        if (!existsSync(path)) throw new KeysteadError('scan.no-file', { field: 'path', seen: path });
        found.push(...(await scanned(path, flags.json === true)));
      }
      print(found, flags);
      if (found.some((one) => counts(one, flags.strict === true))) process.exitCode = EXIT.notProven;
    });
}

const counts = (one: Scanned, strict: boolean): boolean => strict || (one.what === 'key' && !one.encrypted);

async function scanned(path: string, quiet: boolean): Promise<Scanned[]> {
  const size = statSync(path).size;
  const progress = progressOf(`scanning ${path}`, quiet);
  const found: Scanned[] = [];
  const whole = statSync(path).isFile() ? size : undefined;
  let bytes = 0;
  const looked = (_file: string, more: number): void => {
    bytes += more;
    progress.at(bytes, whole);
  };
  for await (const one of scanPath(path, { looked })) found.push(one);
  progress.end();
  return found;
}

function print(found: readonly Scanned[], { json }: ScanFlags): void {
  const keys = found.flatMap((one) => (one.what === 'key' ? [one] : []));
  const unread = found.flatMap((one) => (one.what === 'unread' ? [one] : []));
  const more = found.flatMap((one) => (one.what === 'more' ? [one] : []));
  if (json === true) {
    process.stdout.write(`${JSON.stringify({ keys, unread, ...(more.length === 0 ? {} : { more }) }, null, 2)}\n`);
    return;
  }
  if (keys.length > 0) {
    const rows = keys.map(({ where, offset, form, key, encrypted, spkiSha256 }) => [
      where,
      `${offset}`,
      FORMS[form],
      key ?? '-',
      encrypted ? 'under a passphrase' : 'IN THE CLEAR',
      spkiSha256 ?? '-',
    ]);
    process.stdout.write(
      `${table([['where', 'offset', 'form', 'key', 'state', 'SHA-256 of the public key'], ...rows])}\n`,
    );
  }
  for (const { where, why } of unread) process.stderr.write(`keystead: not looked into: ${where}: ${why}\n`);
  for (const one of more)
    process.stderr.write(`keystead: more than are told one by one: ${one.where}: ${countsText(one)}\n`);
  const clear = keys.filter(({ encrypted }) => !encrypted).length;
  const told = { clear, encrypted: keys.length - clear, unread: unread.length };
  const sum = [told, ...more].reduce((a, b) => ({
    clear: a.clear + b.clear,
    encrypted: a.encrypted + b.encrypted,
    unread: a.unread + b.unread,
  }));
  process.stdout.write(`${countsText(sum)}\n`);
}

interface Counts {
  readonly clear: number;
  readonly encrypted: number;
  readonly unread: number;
}

const countsText = ({ clear, encrypted, unread }: Counts): string =>
  `${clear} private keys in the clear, ${encrypted} under a passphrase, ${unread} places not looked into`;
