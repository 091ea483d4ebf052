import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encode } from 'cborg';
import fc from 'fast-check';
import type { DerSpki } from '../../bytes/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import {
  cose,
  coseFormat,
  dsse,
  imageOf,
  makeManifest,
  readManifest,
  readSign1,
  readSign1Sequence,
  readSuitEnvelope,
  sshsig,
  suit,
  suitSigners,
  verifySign1,
} from '../index.ts';
import { makeEnvelope } from '../suit/envelope.ts';
import { newTestSigner, together } from './signers.ts';

const code = (expected: string, field?: string) => (error: unknown) =>
  error instanceof KeysteadError && error.code === expected && (field === undefined || error.field === field);
const hex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text.replace(/\s/g, ''), 'hex'));

/** Appendix B.2 of the draft, as libcsuit (kentakayama/libcsuit, testfiles) has it: signed as ESP256. */
const EXAMPLE = hex(`d86ba2025873825824822f58201f2e7acca0dc2786f2fe4eb947f50873a6
  a3cfaa98866c5b02e621f42074daf2584ad28443a10128a0f65840991492
  41cc392690aa15590cc0d97b8bf5084b3efbf2ca82f33179eed6e7370e44
  517bdd75f5bab97773fca4601e1ada8a5068619de0c648c1208e5a16141d
  21035894a50101020103585fa202818141000458568614a40150fa6b4a53
  d5ad5fdfbe9de663e4d41ffe02501492af1425695e48bf429b2d51f2ab45
  035824822f582000112233445566778899aabbccddeeff0123456789abcd
  effedcba98765432100e1987d0010f020f074382030f1458258614a11578
  1b687474703a2f2f6578616d706c652e636f6d2f66696c652e62696e1502
  030f`);
/** The public key of appendix B: P-256. */
const EXAMPLE_KEY = hex(`3059301306072a8648ce3d020106082a8648ce3d030107034200
  048496811aae0baaabd26157189eecda26beaa8bf11b6f3fe6e2b5659c85dbc0ad
  3b1f2a4b6c098131c0a36dacd1d78bd381dcdfb09c052db33991db7338b4a896`) as DerSpki;

const UPDATE = {
  sequenceNumber: 1,
  component: [Uint8Array.of(0)],
  vendorId: hex('fa6b4a53d5ad5fdfbe9de663e4d41ffe'),
  classId: hex('1492af1425695e48bf429b2d51f2ab45'),
  digest: hex('00112233445566778899aabbccddeeff0123456789abcdeffedcba9876543210'),
  size: 34768,
  uri: 'http://example.com/file.bin',
};
const signer = await newTestSigner('P-256');

test("the draft's example is read, its manifest is what ours would be octet for octet, and its signature verifies", () => {
  const envelope = readSuitEnvelope(EXAMPLE);
  assert.deepEqual(Buffer.from(makeManifest(UPDATE)), Buffer.from(envelope.manifest));
  const { sequenceNumber, components } = readManifest(envelope.manifest);
  assert.equal(sequenceNumber, 1);
  assert.deepEqual(
    components.map((parts) => parts.map((part) => Buffer.from(part).toString('hex'))),
    [['00']],
  );
  assert.deepEqual(suitSigners(envelope, [signer.key.spki, EXAMPLE_KEY]), [EXAMPLE_KEY]);
});

test('an envelope that has a signature is not signed again, nor is a COSE_Sign1', async () => {
  await assert.rejects(suit.read(imageOf(EXAMPLE)), code('firmware.signed-already', 'authentication-wrapper'));
  const format = coseFormat({ payload: 'attached' });
  const image = imageOf(Buffer.from('firmware'));
  const { subject } = await format.read(image);
  const signed = await together(format.assemble(image, subject, [await signer.made(format, subject)]));
  await assert.rejects(format.read(imageOf(signed)), code('firmware.signed-already', 'image'));
  // What only begins like one is an image as others are.
  assert.equal((await cose.read(imageOf(Buffer.from('d284ff', 'hex')))).signatures, 0);
});

/** An envelope without a signature, as `prepare` makes it. */
const unsigned = async (): Promise<Uint8Array> => {
  const parameters = {
    vendorId: 'fa6b4a53-d5ad-5fdf-be9d-e663e4d41ffe',
    classId: '1492af14-2569-5e48-bf42-9b2d51f2ab45',
    sequenceNumber: '7',
    uri: 'coap://updates.example/a',
  };
  const image = await suit.prepare?.(imageOf(Buffer.from('firmware')), parameters);
  assert.ok(image !== undefined);
  return image.read(0, image.size);
};

test('a signature is of one manifest by one key, and an integrated payload stays in the envelope', async () => {
  const { manifest } = readSuitEnvelope(await unsigned());
  // The same members, and a payload under a name of its own.
  const digest = encode([-16, hex(Buffer.from(await digestOf(manifest)).toString('hex'))]);
  const members = new Map<number | string, Uint8Array>([
    [2, encode([digest])],
    [3, manifest],
    ['#fw', Buffer.from('firmware')],
  ]);
  const image = imageOf(Buffer.concat([Buffer.of(0xd8, 107), encode(members)]));
  const { subject, shown } = await suit.read(image);
  assert.ok(shown.some(({ name, value }) => name === 'uri' && value === 'coap://updates.example/a'));
  const other = await newTestSigner('Ed25519');
  const made = [await signer.made(suit, subject), await other.made(suit, subject)];
  const envelope = readSuitEnvelope(await together(suit.assemble(image, subject, made)));
  assert.equal(Buffer.from(envelope.payloads.get('#fw') ?? []).toString(), 'firmware');
  assert.deepEqual(suitSigners(envelope, [other.key.spki, signer.key.spki]), [other.key.spki, signer.key.spki]);
  assert.deepEqual(suitSigners({ ...envelope, manifest: makeManifest(UPDATE) }, [signer.key.spki]), []);
  assert.deepEqual(suitSigners({ ...envelope, signatures: envelope.signatures.slice(0, 1) }, [other.key.spki]), []);
});

async function digestOf(manifest: Uint8Array): Promise<ArrayBuffer> {
  // Of the byte string with its head, by another implementation of SHA-256.
  const head =
    manifest.length < 256
      ? Buffer.of(0x58, manifest.length)
      : Buffer.of(0x59, manifest.length >> 8, manifest.length & 255);
  return crypto.subtle.digest('SHA-256', Buffer.concat([head, manifest]));
}

test('keyd takes its sequence number from the manifest alone, and refuses what two readers could read differently', () => {
  const manifest = makeManifest(UPDATE);
  assert.equal(suit.claims(manifest).securityCounter, 1);
  const bad: readonly (readonly [string, Uint8Array])[] = [
    ['manifest', manifest.subarray(1)],
    ['manifest', Buffer.concat([manifest, Buffer.of(0)])],
    ['manifest', encode([1])],
    // 1 in two octets, and the sequence number twice.
    ['manifest', Buffer.concat([manifest.subarray(0, 2), Buffer.of(0x18, 1), manifest.subarray(3)])],
    ['manifest', Buffer.concat([Buffer.of(0xa6, 2, 0), manifest.subarray(1)])],
    ['manifest-version', encode(new Map([[1, 2]]))],
    ['manifest-sequence-number', encode(new Map([[1, 1]]))],
    [
      'manifest-sequence-number',
      encode(
        new Map<number, unknown>([
          [1, 1],
          [2, -1],
        ]),
      ),
    ],
    [
      'manifest-sequence-number',
      encode(
        new Map<number, unknown>([
          [1, 1],
          [2, 2n ** 60n],
        ]),
      ),
    ],
    [
      'common',
      encode(
        new Map<number, unknown>([
          [1, 1],
          [2, 1],
        ]),
      ),
    ],
    [
      'components',
      encode(
        new Map<number, unknown>([
          [1, 1],
          [2, 1],
          [3, encode(new Map([[2, []]]))],
        ]),
      ),
    ],
  ];
  for (const [field, bytes] of bad) {
    assert.throws(() => suit.claims(bytes), code('firmware.malformed', field), Buffer.from(bytes).toString('hex'));
    assert.throws(() => suit.compose(bytes, signer.terms), code('firmware.malformed', field));
  }
});

test('an envelope with another digest, a severed member or no tag is refused by its own name', async () => {
  const good = await unsigned();
  const changed = Uint8Array.from(good);
  changed[changed.length - 1] = (changed.at(-1) ?? 0) ^ 1;
  await assert.rejects(suit.read(imageOf(changed)), code('firmware.malformed', 'authentication-wrapper'));
  await assert.rejects(suit.read(imageOf(good.subarray(2))), code('firmware.malformed', 'envelope'));
  await assert.rejects(suit.read(imageOf(good.subarray(0, -1))), code('firmware.malformed', 'envelope'));
  const { manifest } = readSuitEnvelope(good);
  const severed = encode(
    new Map([
      [2, encode([])],
      [3, manifest],
      [20, Buffer.from('x')],
    ]),
  );
  const image = imageOf(Buffer.concat([Buffer.of(0xd8, 107), severed]));
  await assert.rejects(suit.read(image), code('firmware.malformed', 'envelope'));
});

/** A manifest of one component with these members besides. */
const manifestWith = (...more: readonly (readonly [number | string, unknown])[]): Uint8Array =>
  encode(new Map<number | string, unknown>([[1, 1], [2, 9], [3, encode(new Map([[2, [[Buffer.of(0)]]]]))], ...more]));

/** What people see of a manifest, in an envelope without a signature. */
async function shownOf(manifest: Uint8Array): Promise<(name: string) => string | undefined> {
  const digest = encode([-16, new Uint8Array(await digestOf(manifest))]);
  const envelope = encode(
    new Map([
      [2, encode([digest])],
      [3, manifest],
    ]),
  );
  const { shown } = await suit.read(imageOf(Buffer.concat([Buffer.of(0xd8, 107), envelope])));
  return (name) => shown.find((row) => row.name === name)?.value;
}

test('people see every command of a manifest, where else it fetches from, and that there is more', async () => {
  const fetching = encode([20, new Map([[21, 'http://elsewhere.example']]), 21, 2, 32, encode([12, 0])]);
  const value = await shownOf(manifestWith([16, fetching], [23, encode(new Map())], ['20', 1]));
  assert.equal(value('uri'), 'http://elsewhere.example');
  assert.equal(value('commands'), '20 21 32');
  assert.equal(value('members not looked into'), '23 20');
  // Manifests that it depends on (draft-ietf-suit-trust-domains) stand in what is common.
  const common = encode(
    new Map<number, unknown>([
      [1, new Map([[1, new Map()]])],
      [2, [[Buffer.of(0)]]],
    ]),
  );
  assert.equal((await shownOf(manifestWith([3, common], [16, fetching])))('members not looked into'), 'common 1');
  assert.throws(
    () => suit.claims(manifestWith([20, [-16, Buffer.alloc(32)]])),
    code('firmware.malformed', 'member 20'),
  );
});

test('no signature of cose is one of a SUIT manifest, whose commands nobody saw: its digest is no image', async () => {
  const digest = Buffer.from(encode([-16, hex('11'.repeat(32))]));
  const laxly: readonly Uint8Array[] = [
    digest,
    Buffer.concat([digest, Buffer.from('and an image')]),
    // An array without an end, the algorithm in two octets, the length in three; and SHA-512.
    Buffer.concat([Buffer.of(0x9f), digest.subarray(1), Buffer.of(0xff)]),
    Buffer.concat([Buffer.of(0x82, 0x38, 0x0f), digest.subarray(2)]),
    Buffer.concat([Buffer.of(0x82, 0x2f, 0x59, 0, 32), digest.subarray(4)]),
    encode([-44, new Uint8Array(64)]),
  ];
  for (const payload of laxly) {
    await assert.rejects(cose.read(imageOf(payload)), code('firmware.malformed', 'payload'));
    // And by keyd, where the front end makes the subject.
    const subject = encode([0, new Uint8Array(payload)]);
    assert.throws(() => cose.compose(subject, signer.terms), code('firmware.malformed', 'payload'));
  }
  assert.equal((await cose.read(imageOf(Buffer.of(0x82, 0x2f, 0x58)))).signatures, 0);
});

test('people see a digest of SHA-256 as the device reads it, and any other as what it is', async () => {
  const shown = hex('22'.repeat(32));
  const taken = hex('33'.repeat(32));
  const misleading: readonly Uint8Array[] = [
    // A reader that takes the first two, or passes over what follows, takes another digest than the last 32 octets.
    encode([-16, taken, shown]),
    Buffer.concat([encode([-16, taken]), shown]),
    encode([-18, shown]),
  ];
  const imageDigest = async (digest: Uint8Array) =>
    (await shownOf(manifestWith([20, encode([20, new Map([[3, digest]])])])))('image digest');
  for (const digest of misleading) assert.match((await imageDigest(digest)) ?? '', /^no SHA-256: /);
  assert.equal(await imageDigest(encode([-16, shown])), '22'.repeat(32));
});

test('a manifest of more items than any has is refused before memory is filled', () => {
  const items = Buffer.alloc(5 + 4_000_000, 0xa0);
  items[0] = 0x9a;
  items.writeUInt32BE(4_000_000, 1);
  const before = process.memoryUsage().heapUsed;
  assert.throws(() => suit.claims(items), code('firmware.malformed', 'manifest'));
  assert.ok(process.memoryUsage().heapUsed - before < 200e6);
});

test('nothing is assembled without a signature', async () => {
  const image = imageOf(Buffer.from('firmware'));
  for (const format of [cose, dsse, sshsig]) {
    const { subject } = await format.read(image);
    await assert.rejects(together(format.assemble(image, subject, [])), code('firmware.key-unsuitable'), format.name);
  }
  const envelope = imageOf(await unsigned());
  const { subject } = await suit.read(envelope);
  await assert.rejects(together(suit.assemble(envelope, subject, [])), code('firmware.key-unsuitable'));
});

test('a signature goes into no envelope of another manifest', async () => {
  const envelope = imageOf(await unsigned());
  const { subject } = await suit.read(envelope);
  const made = [await signer.made(suit, subject)];
  const other = imageOf(makeEnvelope(makeManifest({ ...UPDATE, sequenceNumber: 8 }), []));
  await assert.rejects(together(suit.assemble(other, subject, made)), code('firmware.malformed', 'image'));
});

test('parameters of a manifest are refused by name', async () => {
  const good = {
    vendorId: 'fa6b4a53-d5ad-5fdf-be9d-e663e4d41ffe',
    classId: '1492af14-2569-5e48-bf42-9b2d51f2ab45',
    sequenceNumber: '7',
    uri: 'coap://updates.example/a',
  };
  const bad: Record<string, string> = {
    vendorId: 'FA6B4A53',
    classId: '',
    sequenceNumber: '-1',
    uri: 'with blank',
    component: '0',
    version: '1.0',
  };
  for (const [field, value] of Object.entries(bad)) {
    const parameters = { ...good, [field]: value };
    await assert.rejects(
      async () => suit.prepare?.(imageOf(Buffer.from('x')), parameters),
      code('firmware.parameter', field),
    );
  }
});

test('a COSE_Sign1 under another algorithm, with critical labels or a label twice is none', async () => {
  const image = imageOf(Buffer.from('firmware'));
  const { subject } = await cose.read(image);
  const bytes = await together(cose.assemble(image, subject, [await signer.made(cose, subject)]));
  const sign1 = readSign1(bytes);
  const payload = Buffer.from('firmware');
  assert.equal(verifySign1(sign1, signer.key.spki, payload), true);
  assert.equal(verifySign1(sign1, signer.key.spki), false);
  assert.equal(verifySign1(sign1, signer.key.spki, Buffer.from('other')), false);
  const header = (entries: [number, unknown][]) => ({ ...sign1, protectedHeader: new Map(entries) });
  assert.equal(verifySign1(header([[1, -35]]), signer.key.spki, payload), false);
  assert.equal(verifySign1(header([]), signer.key.spki, payload), false);
  const tagged = (item: unknown) => Buffer.concat([Buffer.of(0xd2), encode(item)]);
  const protectedBytes = encode(new Map([[1, -7]]));
  const none = new Uint8Array(0);
  const critical = encode(
    new Map<number, unknown>([
      [1, -7],
      [2, [99]],
    ]),
  );
  const bad = [
    tagged([critical, new Map(), null, none]),
    tagged([protectedBytes, new Map([[1, -7]]), null, none]),
    tagged([protectedBytes, new Map(), null]),
    tagged([protectedBytes, new Map(), 7, none]),
    encode([protectedBytes, new Map(), null, none]),
    Buffer.concat([bytes, Buffer.of(0)]),
  ];
  for (const one of bad) assert.throws(() => readSign1(one), code('firmware.malformed'), one.toString('hex'));
});

test('a key that COSE has no algorithm for is refused before it signs', async () => {
  const rsa = await newTestSigner('RSA-3072');
  const { subject } = await cose.read(imageOf(Buffer.from('firmware')));
  assert.throws(() => cose.compose(subject, rsa.terms), code('firmware.key-unsuitable'));
});

test('whatever bytes come, envelopes, manifests, signatures and subjects are read or refused', async () => {
  const { subject } = await cose.read(imageOf(Buffer.from('firmware')));
  const sources = [EXAMPLE, makeManifest(UPDATE), await unsigned(), subject].map((one) => Uint8Array.from(one));
  const survives = async (run: () => unknown): Promise<void> => {
    try {
      await run();
    } catch (error) {
      assert.ok(error instanceof KeysteadError && error.code.startsWith('firmware.'), String(error));
    }
  };
  const broken = fc
    .tuple(fc.constantFrom(...sources), fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 3 }))
    .map(([source, changes]) => {
      const bytes = Uint8Array.from(source);
      for (const [index, octet] of changes) bytes[index % bytes.length] = octet;
      return bytes;
    });
  await fc.assert(
    fc.asyncProperty(fc.oneof(fc.uint8Array({ maxLength: 200 }), broken), async (bytes) => {
      await survives(() => suitSigners(readSuitEnvelope(bytes), [EXAMPLE_KEY]));
      await survives(() => suit.read(imageOf(bytes)));
      await survives(() => suit.claims(bytes));
      await survives(() => cose.claims(bytes));
      await survives(() => cose.read(imageOf(bytes)));
      await survives(() => readSign1Sequence(bytes).map((one) => verifySign1(one, EXAMPLE_KEY)));
    }),
    { numRuns: 800 },
  );
  // Nested without end, and lengths that nothing holds.
  for (const hostile of [
    Buffer.alloc(1_000_000, 0x81),
    Buffer.alloc(1_000_000, 0xd2),
    hex('9b7fffffffffffffff'),
    hex('5b7fffffffffffffff'),
    hex('bb00000000ffffffff'),
  ]) {
    await survives(() => readSuitEnvelope(hostile));
    await survives(() => suit.claims(hostile));
    await survives(() => readSign1Sequence(hostile));
    await survives(() => cose.claims(hostile));
  }
});
