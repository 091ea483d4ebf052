import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { toPem } from '@keystead/core/bytes';
import { sign1Structure } from '@keystead/core/crypto';
import { imageOf, suit } from '@keystead/core/firmware';
import { encode } from 'cborg';
import { foreignTree } from '../../../core/crypto/tests/lms-tree.ts';
import { makeEnvelope } from '../../../core/firmware/suit/envelope.ts';
import { manifestDigest } from '../../../core/firmware/suit/manifest.ts';
import { bitString, oid, sequence } from '../../../core/x509/der/writer.ts';
import { EXIT } from '../exit.ts';
import { verifyHssCommand } from '../sign-verify-hss.ts';

const directory = mkdtempSync(join(tmpdir(), 'keystead-hss-'));
after(() => {
  rmSync(directory, { recursive: true });
  process.exitCode = undefined;
});
function file(name: string, bytes: Uint8Array | string): string {
  writeFileSync(join(directory, name), bytes);
  return join(directory, name);
}

/** The exit code of the command, which runs here; it may also throw. */
async function verdict(...args: string[]): Promise<number> {
  try {
    await verifyHssCommand().exitOverride().parseAsync(args, { from: 'user' });
    return Number(process.exitCode);
  } finally {
    process.exitCode = undefined;
  }
}

const VECTORS: readonly Readonly<Record<'source' | 'publicKey' | 'message' | 'signature', string>>[] = JSON.parse(
  readFileSync(new URL('../../../../vectors/lms/hss.json', import.meta.url), 'utf8'),
);
const hex = (text: string): Buffer => Buffer.from(text, 'hex');

for (const { source, publicKey, message, signature } of VECTORS) {
  test(`sign verify-hss takes the image of ${source} with its signature, and with none that is another`, async () => {
    const image = file('image', hex(message));
    const spki = sequence(sequence(oid('1.2.840.113549.1.9.16.3.17')), bitString(hex(publicKey)));
    const [raw, pem] = [file('key', hex(publicKey)), file('key.pem', toPem('PUBLIC KEY', spki))];
    const signed = ['--signature', file('signature', hex(signature))];
    assert.equal(await verdict(image, ...signed, '--key', raw), EXIT.done);
    assert.equal(await verdict(image, ...signed, '--key', pem), EXIT.done);
    const other = hex(signature);
    other[other.length - 1] = (other.at(-1) ?? 0) ^ 1;
    assert.equal(await verdict(image, '--signature', file('other', other), '--key', raw), EXIT.notProven);
    assert.equal(await verdict(file('swapped', 'another image'), ...signed, '--key', raw), EXIT.notProven);
  });
}

/** A vendor: one level of HSS over a tree of 32 leaves; COSE_Sign1 by RFC 8778. */
const tree = foreignTree(5, 4, 'sha256', 32, 8);
const one = Buffer.of(0, 0, 0, 1);
const hssKey = Buffer.concat([one, tree.publicKey]);
function sign1(leaf: number, payload: Uint8Array, attached: boolean, algorithm = -46): Uint8Array {
  const header = encode(new Map([[1, algorithm]]));
  const signature = Buffer.concat([Buffer.alloc(4), tree.sign(leaf, sign1Structure(header, payload))]);
  // Tag 18.
  return Buffer.concat([Buffer.of(0xd2), encode([header, new Map(), attached ? payload : null, signature])]);
}

test('sign verify-hss takes COSE_Sign1 of an image, attached and detached, by the number of HSS-LMS alone', async () => {
  const image = Buffer.from('firmware');
  const key = ['--key', file('hss', hssKey), '--format', 'cose'];
  const ask = (signatures: Uint8Array, bytes = image) =>
    verdict(file('firmware', bytes), '--signature', file('cose', signatures), ...key);
  assert.equal(await ask(sign1(0, image, false)), EXIT.done);
  assert.equal(await ask(sign1(1, image, true)), EXIT.done);
  assert.equal(await ask(sign1(2, image, false, -7)), EXIT.notProven);
  // Attached, of another image.
  assert.equal(await ask(sign1(3, image, true), Buffer.from('another')), EXIT.notProven);
  assert.equal(await ask(sign1(4, Buffer.from('another'), false)), EXIT.notProven);
});

test('sign verify-hss takes a SUIT manifest that a vendor signed', async () => {
  const prepared = await suit.prepare?.(imageOf(Buffer.from('firmware')), {
    vendorId: 'fa6b4a53-d5ad-5fdf-be9d-e663e4d41ffe',
    classId: '1492af14-2569-5e48-bf42-9b2d51f2ab45',
    sequenceNumber: '1',
    uri: 'https://updates.example/a',
  });
  assert.ok(prepared);
  const { subject } = await suit.read(prepared);
  const key = ['--key', file('hss', hssKey), '--format', 'suit'];
  const good = makeEnvelope(subject, [sign1(5, manifestDigest(subject), false)]);
  assert.equal(await verdict(file('envelope', good), ...key), EXIT.done);
  const bad = makeEnvelope(subject, [sign1(6, subject, false)]);
  assert.equal(await verdict(file('bad', bad), ...key), EXIT.notProven);
});

test('what cannot be read is refused by its name', async () => {
  const [image, key] = [file('image', 'a'), file('hss', hssKey)];
  await assert.rejects(verdict(image, '--key', key), { code: 'firmware.parameter', message: /signature/ });
  for (const bytes of [
    hssKey.subarray(1),
    Buffer.of(0x30, 0x80),
    sequence(sequence(oid('1.2.3')), bitString(hssKey)),
  ]) {
    const asked = verdict(image, '--signature', image, '--key', file('bad-key', bytes));
    await assert.rejects(asked, { code: 'firmware.malformed', message: /^key/ });
  }
  await assert.rejects(verdict(image, '--key', key, '--format', 'suit'), { code: 'firmware.malformed' });
  const cose = verdict(image, '--signature', image, '--key', key, '--format', 'cose');
  await assert.rejects(cose, { code: 'firmware.malformed' });
});
