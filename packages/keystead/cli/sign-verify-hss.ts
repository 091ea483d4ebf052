import { fromPem } from '@keystead/core/bytes';
import { verifyHss } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { hssPublicKey, hssSignedCose, hssSignedSuit } from '@keystead/core/firmware';
import { Command, Option } from 'commander';
import { openImage } from '../files/image-file.ts';
import { EXIT } from './exit.ts';

/** Octets: an image is hashed after what the signature puts before it, so it is read as a whole. */
const MOST_IMAGE_BYTES = 256 * 1024 * 1024;
/** A signature of eight levels with the widest trees has 100 kB. */
const MOST_SIGNATURE_BYTES = 1024 * 1024;
const FORMATS = ['plain', 'cose', 'suit'] as const;

interface Flags {
  readonly key: string;
  readonly signature?: string;
  readonly format: (typeof FORMATS)[number];
}

/** `keystead sign verify-hss`: firmware that a vendor signed by hashes alone. */
export function verifyHssCommand(): Command {
  return new Command('verify-hss')
    .description('verify an HSS/LMS signature (RFC 8554) that somebody else made of an image, or of a SUIT manifest')
    .argument('<image>', 'the image; of the format suit, the envelope')
    .requiredOption('--key <file>', 'the HSS public key: its octets, or SubjectPublicKeyInfo in PEM (RFC 9802)')
    .option('--signature <file>', 'the signature; of the format cose, the file of COSE_Sign1')
    .addOption(new Option('--format <name>', 'how it was signed').choices(FORMATS).default('plain'))
    .addHelpText(
      'after',
      `
Exit codes: ${EXIT.done} it is one by the key, ${EXIT.notProven} it is none, ${EXIT.refused} what was given cannot be read.

Example:
  $ keystead sign verify-hss boot.bin --signature boot.sig --key vendor.hss`,
    )
    .action(async (path: string, flags: Flags) => {
      const holds = await verified(path, flags);
      process.stdout.write(holds ? 'verified\n' : 'not verified\n');
      process.exitCode = holds ? EXIT.done : EXIT.notProven;
    });
}

async function verified(path: string, { key: keyFile, signature, format }: Flags): Promise<boolean> {
  const key = hssPublicKey(unarmoured(await read(keyFile, MOST_SIGNATURE_BYTES)));
  const image = await read(path, MOST_IMAGE_BYTES);
  if (format === 'suit') return hssSignedSuit(image, key);
  if (signature === undefined) throw refused('signature', `none, which the format ${format} needs`);
  const bytes = await read(signature, format === 'cose' ? MOST_IMAGE_BYTES : MOST_SIGNATURE_BYTES);
  return format === 'cose' ? hssSignedCose(bytes, key, image) : verifyHss(key, image, bytes);
}

function unarmoured(bytes: Uint8Array): Uint8Array {
  const text = Buffer.from(bytes).toString('latin1');
  if (!text.startsWith('-----BEGIN')) return bytes;
  const [der] = fromPem('PUBLIC KEY', text);
  if (der === undefined) throw refused('key', 'PEM without a PUBLIC KEY');
  return der;
}

async function read(path: string, most: number): Promise<Uint8Array> {
  await using file = await openImage(path);
  if (file.size > most) throw refused(path, `${file.size} bytes, where ${most} are the most`);
  return file.read(0, file.size);
}

const refused = (field: string, seen: string): KeysteadError =>
  new KeysteadError('firmware.parameter', { field, seen });
