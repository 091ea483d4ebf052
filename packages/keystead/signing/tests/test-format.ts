import { createHash } from 'node:crypto';
import { KeysteadError } from '@keystead/core/errors';
import { type FirmwareFormat, type ImageBytes, piecesOf } from '@keystead/core/firmware';

/**
 * A small format for tests, under the name of one whose own comes from another room: a line of JSON with product, version
 * and counter, the content, and a line that says whether it is signed.
 */
export function testImage(
  facts: { product?: string; version: string; counter?: number },
  content = 'the code',
): Buffer {
  const { product = null, version, counter = null } = facts;
  return Buffer.from(`${JSON.stringify({ product, version, counter })}\n${content}\nunsigned\n`);
}

const UNSIGNED = 'unsigned\n';

interface Subject {
  readonly sha256: string;
  readonly product: string | null;
  readonly version: string;
  readonly counter: number | null;
}

const claimsOf = ({ product, version, counter }: Subject) => ({ product, version, securityCounter: counter });

async function factsOf(image: ImageBytes): Promise<Omit<Subject, 'sha256'>> {
  const head = Buffer.from(await image.read(0, 4096)).toString('latin1');
  try {
    return JSON.parse(head.slice(0, head.indexOf('\n'))) as Omit<Subject, 'sha256'>;
  } catch (cause) {
    throw new KeysteadError('firmware.malformed', { field: 'head', seen: 'no line of JSON', cause });
  }
}

export const TEST_FORMAT: FirmwareFormat = {
  name: 'sshsig',
  title: 'a line of JSON before the content, for tests',
  signedBy: ({ scheme }) => scheme === 'ecdsa-with-SHA256',
  signedTogether: (keys) => new Set(keys.map(({ algorithm }) => algorithm)).size === 1,
  async read(image) {
    const facts = await factsOf(image);
    const end = Buffer.from(await image.read(image.size - UNSIGNED.length, UNSIGNED.length)).toString('latin1');
    if (end.startsWith('signed')) throw new KeysteadError('firmware.signed-already', { field: 'end' });
    if (end !== UNSIGNED) throw new KeysteadError('firmware.malformed', { field: 'end', seen: 'it breaks off' });
    const subject: Subject = { ...facts, sha256: await sha256Of(image) };
    return {
      format: 'sshsig',
      ...claimsOf(subject),
      shown: [{ name: 'digest', value: subject.sha256 }],
      signatures: 0,
      subject: Buffer.from(JSON.stringify(subject)),
    };
  },
  claims: (subject) => claimsOf(JSON.parse(Buffer.from(subject).toString()) as Subject),
  compose: (subject) => Buffer.concat([Buffer.from('test\n'), subject]),
  async *assemble(image, _subject, made) {
    yield* piecesOf(image, 0, image.size - UNSIGNED.length);
    yield Buffer.from(`signed ${made.map(({ signature }) => Buffer.from(signature).toString('base64')).join(' ')}\n`);
  },
};

async function sha256Of(image: ImageBytes): Promise<string> {
  const hash = createHash('sha256');
  for await (const piece of piecesOf(image)) hash.update(piece);
  return hash.digest('hex');
}
