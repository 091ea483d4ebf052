import { readFileSync } from 'node:fs';
import { fromPem, toHex } from '@keystead/core/bytes';
import { sha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { formatName, readCertificate } from '@keystead/core/x509';
import { Command } from 'commander';
import { fingerprintRows, readFingerprint } from '../ceremony/index.ts';

/** One hash of a file, and what it is the hash of. */
interface Shown {
  readonly of: string;
  readonly sha256: string;
}

/** `keystead fingerprint`: what the person at the other end of a telephone reads out or compares. */
export function fingerprintCommand(): Command {
  return new Command('fingerprint')
    .description('print the SHA-256 of a file, and of the certificate in it, in hex and in words for reading aloud')
    .argument('<file>', 'any file; a certificate may be PEM or DER')
    .option(
      '--expect <fingerprint>',
      'what the other side reads out, in hex or in words; refused when none is the same',
      readFingerprint,
    )
    .option('--json', 'an array of {of, sha256}')
    .addHelpText(
      'after',
      '\nExamples:\n  $ keystead fingerprint request.json\n  $ keystead fingerprint root.pem --expect "optic onlooker …"',
    )
    .action((file: string, flags: { expect?: string; json?: true }) => {
      const shown = fingerprintsOf(read(file));
      if (flags.expect !== undefined && !shown.some((one) => one.sha256 === flags.expect)) {
        throw new KeysteadError('fingerprint.differs', {
          field: file,
          seen: shown.map((one) => one.sha256).join(', '),
        });
      }
      process.stdout.write(flags.json ? `${JSON.stringify(shown, null, 2)}\n` : shown.map(format).join(''));
      if (flags.expect !== undefined && !flags.json) process.stdout.write('The same.\n');
    });
}

function read(file: string): Uint8Array {
  try {
    return readFileSync(file);
  } catch (cause) {
    throw new KeysteadError('ceremony.file-unreadable', { field: 'file', seen: file, cause });
  }
}

function fingerprintsOf(bytes: Uint8Array): Shown[] {
  const file = { of: 'the file', sha256: toHex(sha256(bytes)) };
  const text = Buffer.from(bytes).toString('latin1');
  const certificates = text.includes('-----BEGIN CERTIFICATE-----') ? fromPem('CERTIFICATE', text) : [bytes];
  return [file, ...certificates.flatMap(certificateOf)];
}

function certificateOf(der: Uint8Array): Shown[] {
  try {
    const { subject, sha256: certificate, spkiSha256 } = readCertificate(der);
    const name = formatName(subject);
    return [
      { of: `the certificate of ${name}`, sha256: certificate },
      { of: `the public key of ${name}`, sha256: spkiSha256 },
    ];
  } catch (error) {
    if (error instanceof KeysteadError) return [];
    throw error;
  }
}

const format = ({ of, sha256: hash }: Shown): string => `SHA-256 of ${of}:\n${fingerprintRows(hash, '  ')}\n`;
