import { generateKeyPairSync, sign } from 'node:crypto';
import { type DerCertificate, type DerSpki, fromHex, toHex } from '@keystead/core/bytes';
import { type Signer, sha256, sign1Structure } from '@keystead/core/crypto';
import { type BundleContent, parseBundle } from '@keystead/core/trust';
import { encode } from 'cborg';
import { contentWith, DAY, newSigner, pin, SECOND } from '../../../core/trust/tests/bundle-source.ts';
import { headerOf, type RawContent, rawOf, sealed, unsealed } from '../../../core/trust/tests/raw-bundle.ts';
import { forge } from '../../../core/x509/tests/forge.ts';
import { type BundleVector, judgeBundle, type PinVector, type VectorState } from './vector-set.ts';

const notAfter = new Date((SECOND + 400 * DAY) * 1000);
const [signer, wide, edwards, stranger] = [newSigner(), newSigner('P-384'), newSigner('Ed25519'), newSigner()];
const root = forge({ subject: ['CN=root'], ca: true, notAfter }).der;
const leaf = forge({ subject: ['CN=pump'], notAfter }).der;
export const CERTIFICATES: readonly DerCertificate[] = [root, leaf];
export const SIGNERS: readonly Signer[] = [signer, wide, edwards, stranger];

const content = (more: Partial<BundleContent> = {}, by = signer) => contentWith(by, root, more);
const hexState = (by: readonly Signer[], more: Partial<VectorState> = {}): VectorState => ({
  fleet: 'pumps',
  version: 6,
  sha256: '',
  signers: by.map(({ spki }) => ({ spki: toHex(spki), from: SECOND - 30 * DAY, until: SECOND + 365 * DAY })),
  firmware: [{ product: 'pump-a', minimumSecurityCounter: 3 }],
  ...more,
});
const known = hexState([signer]);

type Made = readonly [name: string, expected: string, files: readonly Uint8Array[], state?: VectorState, now?: number];

/** Bundles of which every refusal of docs/trust-bundle.md comes about, and good ones. */
export async function makeBundles(): Promise<BundleVector[]> {
  const made = [...(await good()), ...(await refusedByState()), ...(await againstTheRules()), ...(await malformed())];
  return made.map(([name, expected, files, state = known, now = SECOND]) => {
    const vector = { name, files: files.map(toHex), known: state, now, expected };
    const judged = judgeBundle(vector);
    if (judged.expected !== expected) throw new TypeError(`${name}: ${judged.expected}, not ${expected}`);
    return { ...vector, ...judged };
  });
}

const of = (raw: BundleContent, by = signer): Promise<Uint8Array> => sealed(encode(rawOf(raw)), by);

async function good(): Promise<Made[]> {
  const plain = await of(content());
  const { sha256: hash = '' } =
    judgeBundle({ name: '', files: [toHex(plain)], known, now: SECOND, expected: '' }).taken ?? {};
  const next = newSigner('Ed25519');
  const change = content({
    issuedAt: SECOND - 20 * DAY,
    expires: SECOND - DAY,
    pins: [],
    signers: [{ spki: next.spki, from: SECOND - 21 * DAY, until: SECOND + 365 * DAY }],
  });
  const passed = await of(change);
  const newest = await of(content({ version: 9 }, next), next);
  SIGNED_BY.push(next);
  const keys = content().pins[0]?.keys ?? [];
  const full = content({
    anchors: [],
    pins: Array.from({ length: 16 }, (_, index) => ({ role: `name-${index}`, keys })),
    firmware: Array.from({ length: 32 }, (_, index) => ({
      product: index === 0 ? 'pump-a' : `product-${index}`,
      signers: [pin('firmware')],
      minimumSecurityCounter: 0xffff_ffff,
    })),
    filterSha256: pin('filter'),
  });
  return [
    ['a plain bundle, ES256', 'ok', [plain]],
    ['a plain bundle, ES384', 'ok', [await of(content({}, wide), wide)], hexState([signer, wide])],
    ['a plain bundle, Ed25519', 'ok', [await of(content({}, edwards), edwards)], hexState([edwards])],
    ['the first, at the factory', 'ok', [plain], { ...known, version: 0 }],
    ['the same once more', 'ok', [plain], { ...known, version: 7, sha256: hash }],
    ['many names and products', 'ok', [await of(full)]],
    ['of the future, as far as clocks may differ', 'ok', [await of(content({ issuedAt: SECOND + 300 }))]],
    ['a change of signers that has expired, then the newest', 'ok', [passed, newest]],
    ['the newest without the change of signers', 'trust-bundle.signer-unknown', [newest]],
    ['the change of signers alone', 'trust-bundle.expired', [passed]],
    ['the two the wrong way round', 'trust-bundle.signer-unknown', [newest, passed]],
    ['the old signer after the change', 'trust-bundle.signer-unknown', [passed, await of(content({ version: 10 }))]],
    ['none', 'trust-bundle.expired', []],
  ];
}

/** Signers of the vectors beside those of the module. */
export const SIGNED_BY: Signer[] = [...SIGNERS];

async function refusedByState(): Promise<Made[]> {
  const plain = await of(content());
  const ended = (until: number) => ({ ...known, signers: [{ spki: toHex(signer.spki), from: 0, until }] });
  const flipped = (at: number) => plain.map((byte, index) => (index === plain.length - at ? byte ^ 1 : byte));
  const firmware = (minimumSecurityCounter: number) =>
    content({ firmware: [{ product: 'pump-a', signers: [pin('firmware')], minimumSecurityCounter }] });
  return [
    ['a signer that nobody named', 'trust-bundle.signer-unknown', [await of(content({}, stranger), stranger)]],
    ['a signature of which a bit is changed', 'trust-bundle.signature-invalid', [flipped(1)]],
    [
      'a signature of no length',
      'trust-bundle.signature-invalid',
      [unsealed(encode(rawOf(content())), headerOf(signer.spki, 'P-256'), new Uint8Array())],
    ],
    [
      'the name of one signer over the signature of another',
      'trust-bundle.signature-invalid',
      [await sealed(encode(rawOf(content())), stranger, headerOf(signer.spki, 'P-256'))],
    ],
    ['ES384 by a key of P-256', 'trust-bundle.signature-invalid', ...crossed()],
    ['a signer before its time', 'trust-bundle.signer-retired', [await of(content({ issuedAt: SECOND - 31 * DAY }))]],
    [
      'a signer whose time is over',
      'trust-bundle.signer-retired',
      [await of(content({ issuedAt: SECOND - 2 * DAY }))],
      ended(SECOND),
    ],
    ['a signer in the last second of its time', 'ok', [plain], ended(SECOND + 1)],
    ['another fleet', 'trust-bundle.fleet-differs', [await of(content({ fleet: 'monitors' }))]],
    ['an older version', 'trust-bundle.rolled-back', [plain], { ...known, version: 8 }],
    ['another bundle of the same version', 'trust-bundle.forked', [plain], { ...known, version: 7, sha256: pin('x') }],
    ['of the future', 'trust-bundle.not-yet-valid', [await of(content({ issuedAt: SECOND + 301 }))]],
    ['in the second in which it ends', 'trust-bundle.expired', [plain], known, SECOND + 30 * DAY],
    ['in the last second of its time', 'ok', [plain], known, SECOND + 30 * DAY - 1],
    ['less firmware', 'trust-bundle.firmware-rolled-back', [await of(firmware(2))]],
    ['no firmware', 'trust-bundle.firmware-rolled-back', [await of(content({ firmware: [] }))]],
    ['more firmware', 'ok', [await of(firmware(4))]],
  ];
}

/** A key of P-256 that signs as ES384 does: with a longer hash, and numbers of 48 octets. */
function crossed(): [readonly Uint8Array[], VectorState] {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  const spki = new Uint8Array(publicKey.export({ format: 'der', type: 'spki' })) as DerSpki;
  const [payload, header] = [encode(rawOf(content())), headerOf(spki, 'P-384')];
  const signature = sign('sha384', sign1Structure(header, payload), { key: privateKey, dsaEncoding: 'ieee-p1363' });
  const wider = [signature.subarray(0, 32), signature.subarray(32)].flatMap((part) => [Buffer.alloc(16), part]);
  const state = { ...known, signers: [{ spki: toHex(spki), from: 0, until: SECOND + 365 * DAY }] };
  return [[unsealed(payload, header, new Uint8Array(Buffer.concat(wider)))], state];
}

async function againstTheRules(): Promise<Made[]> {
  const [pins] = content().pins;
  const [anchor] = content().anchors;
  if (pins === undefined || anchor === undefined) throw new TypeError('a bundle without pins or anchors');
  const until = SECOND + 365 * DAY;
  const keys = (all: typeof pins.keys) => ({ pins: [{ role: 'update-server', keys: all }] });
  const backup = (more: Partial<(typeof pins.keys)[number]>) =>
    keys(pins.keys.map((key) => (key.use === 'backup' ? { ...key, ...more } : key)));
  const product = { product: 'pump-a', signers: [pin('firmware')], minimumSecurityCounter: 3 };
  const bad: readonly (readonly [string, Partial<BundleContent>, string?])[] = [
    ['no backup pin', keys(pins.keys.filter(({ use }) => use !== 'backup'))],
    ['no current pin', keys(pins.keys.filter(({ use }) => use !== 'current'))],
    ['no pins at all under a name', keys([])],
    ['a backup that ends before the others', backup({ until: SECOND + 100 * DAY })],
    ['a backup that has not begun', backup({ from: SECOND + DAY })],
    ['a pin that ends before it begins', backup({ from: until, until: SECOND })],
    ['one key pinned twice under a name', keys(pins.keys.map((key) => ({ ...key, spkiSha256: pin('one') })))],
    ['a name that is pinned twice', { pins: [pins, pins] }],
    ['no signer', { signers: [] }],
    ['no signer beyond its end', { signers: [{ spki: signer.spki, from: 0, until: SECOND + 30 * DAY }] }],
    ['a signer twice', { signers: [...content().signers, ...content().signers] }],
    ['a signer that ends before it begins', { signers: [{ spki: signer.spki, from: until, until }] }],
    [
      'a signer that is no key',
      { signers: [{ spki: Buffer.from('no key') as Uint8Array as DerSpki, from: 0, until }] },
      'key.refused',
    ],
    ['an end before its beginning', { expires: SECOND }],
    ['an anchor that ends before it begins', { anchors: [{ ...anchor, from: until, until }] }],
    ['an anchor that outlives its certificate', { anchors: [{ ...anchor, until: SECOND + 401 * DAY }] }],
    ['an anchor that is no CA', { anchors: [{ ...anchor, certificate: leaf }] }],
    [
      'an anchor that is no certificate',
      { anchors: [{ ...anchor, certificate: root.subarray(1) as DerCertificate }] },
      'cert.malformed',
    ],
    ['an anchor twice in one role', { anchors: [anchor, { ...anchor, from: SECOND }] }],
    ['an anchor until the end of its certificate', { anchors: [{ ...anchor, until: SECOND + 400 * DAY }] }, 'ok'],
    ['an anchor of no length in time', { anchors: [{ ...anchor, from: until, until }] }],
    ['a pin of no length in time', backup({ from: until, until })],
    ['a backup that ends with the others', backup({ until: SECOND + 120 * DAY }), 'ok'],
    ['a backup that begins as it is issued', backup({ from: SECOND }), 'ok'],
    ['a signer that begins as it ends', { signers: [{ spki: signer.spki, from: SECOND + 30 * DAY, until }] }, 'ok'],
    [
      'numbers at the edges of their heads, and names of every letter',
      {
        firmware: [23, 24, 255, 256, 65_535, 65_536, 0xffff_ffff].map((minimumSecurityCounter, index) => ({
          ...product,
          product: ['pump-a', '0', '9', 'a', 'z', 'abcdefghijklmnopqrstuvwxyz-01234', '0-56789-'][index] ?? '',
          minimumSecurityCounter,
        })),
      },
      'ok',
    ],
    ['an anchor in two roles', { anchors: [anchor, { ...anchor, role: 'device' }] }, 'ok'],
    ['a product twice', { firmware: [product, product] }],
  ];
  return Promise.all(
    bad.map(
      async ([name, more, expected = 'trust-bundle.rule']) => [name, expected, [await of(content(more))]] as const,
    ),
  );
}

/** Signed by who may sign, and in another form than the one. */
async function malformed(): Promise<Made[]> {
  const raw = rawOf(content());
  const payload = encode(raw);
  const plain = await of(content());
  const bytes = (...parts: (readonly number[] | Uint8Array)[]) =>
    new Uint8Array(Buffer.concat(parts.map((part) => Uint8Array.from(part))));
  const member = (key: number, value: unknown) => encode(new Map<unknown, unknown>(raw).set(key, value));
  // In the place of the version, which is the seventh: its head is its only byte.
  const version = (head: readonly number[]) => bytes(payload.subarray(0, 11), head, payload.subarray(12));
  const rows = (key: number) => raw.get(key) as readonly (readonly unknown[])[];
  const times = (key: number, count: number) =>
    member(
      key,
      Array.from({ length: count }, () => rows(key)[0]),
    );
  const changedRow = (key: number, place: number, value: unknown) =>
    member(key, [rows(key)[0]?.map((old, at) => (at === place ? value : old))]);
  const header = (...changed: [unknown, unknown][]) => sealed(payload, signer, headerOf(signer.spki, 'P-256', changed));
  const reversed: RawContent = new Map([...raw].reverse());
  const contents: readonly (readonly [string, Uint8Array])[] = [
    ['a version in a longer head', version([0x18, 7])],
    [
      'members in another order',
      bytes([0xaa], ...[...reversed].flatMap(([key, value]) => [encode(key), encode(value)])),
    ],
    ['a member twice', bytes([0xab, 1, 1], payload.subarray(1))],
    ['a member too many', member(11, 0)],
    ['a member too few', encode(new Map([...raw].filter(([key]) => key !== 9)))],
    ['a map without an end', bytes([0xbf], payload.subarray(1), [0xff])],
    ['something behind the content', bytes(payload, [0])],
    ['another form', member(1, 2)],
    ['version 0', member(3, 0)],
    ['version 2^32', member(3, 0x1_0000_0000)],
    ['a version that is a fraction', member(3, 7.5)],
    ['a time after 9999', member(5, 253_402_300_800)],
    ['a time before 1970', member(4, -1)],
    ['a fleet in capitals', member(2, 'Pumps')],
    ['a fleet of no letters', member(2, '')],
    ['a fleet of 33 letters', member(2, 'a'.repeat(33))],
    ['a fleet in bytes', member(2, Buffer.from('pumps'))],
    ['17 anchors', times(6, 17)],
    ['17 names', times(7, 17)],
    ['9 signers', times(8, 9)],
    ['33 products', times(9, 33)],
    [
      '9 pins under a name',
      changedRow(
        7,
        1,
        Array.from({ length: 9 }, () => [fromHex(pin('a')), 0, 0, 1]),
      ),
    ],
    ['a role that there is not', changedRow(6, 0, 3)],
    ['a pin of 31 bytes', changedRow(7, 1, [[new Uint8Array(31), 0, 0, 1]])],
    ['a use that there is not', changedRow(7, 1, [[fromHex(pin('a')), 3, 0, 1]])],
    ['a certificate of 4,097 bytes', changedRow(6, 1, new Uint8Array(4097))],
    ['a certificate of no bytes', changedRow(6, 1, new Uint8Array())],
    ['a key of 1,025 bytes', changedRow(8, 0, new Uint8Array(1025))],
    ['a product without signers', changedRow(9, 1, [])],
    ['an anchor with a field too many', member(6, [[...(rows(6)[0] ?? []), 0]])],
    ['a filter that is false', member(10, false)],
    ['a filter of 33 bytes', member(10, new Uint8Array(33))],
  ];
  const bad: readonly (readonly [string, Uint8Array])[] = [
    ...(await Promise.all(contents.map(async ([name, one]) => [name, await sealed(one, signer)] as const))),
    ['no bytes', new Uint8Array()],
    ['something behind it', bytes(plain, [0])],
    ['a tag before it', bytes([0xd2], plain)],
    ['an array of five', bytes([0x85], plain.subarray(1), [0])],
    ['an array without an end', bytes([0x9f], plain.subarray(1), [0xff])],
    ['an unprotected header', encode([headerOf(signer.spki, 'P-256'), new Map([[1, 1]]), payload, new Uint8Array(64)])],
    ['a detached content', encode([headerOf(signer.spki, 'P-256'), new Map(), null, new Uint8Array(64)])],
    ['EdDSA by its old number', await header([1, -8])],
    ['another content type', await header([3, 'application/vnd.keystead.trust-bundle+json'])],
    ['a kid of 31 bytes', await header([4, new Uint8Array(31)])],
    ['a protected header with a member too many', await header([5, 0])],
  ];
  return bad.map(([name, file]) => [name, 'trust-bundle.malformed', [file]] as const);
}

export async function makePins(): Promise<PinVector[]> {
  const file = toHex(await of(content()));
  parseBundle(fromHex(file));
  const at = (name: string, role: string, key: string, days: number, expected: string): PinVector => ({
    name,
    file,
    role,
    key: pin(key),
    now: SECOND + days * DAY,
    expected,
  });
  const long = toHex(await of(content({ expires: SECOND + 300 * DAY })));
  return [
    at('the current key', 'update-server', 'now', 0, 'ok'),
    at('the next key before its time', 'update-server', 'then', 0, 'pin.differs'),
    at('the backup', 'update-server', 'safe', 0, 'ok'),
    at('another key', 'update-server', 'other', 0, 'pin.differs'),
    at('a name without pins', 'update-serve', 'now', 0, 'pin.name-unknown'),
    at('a bundle that has ended', 'update-server', 'now', 30, 'trust-bundle.expired'),
    { ...at('the current key while both hold', 'update-server', 'now', 55, 'ok'), file: long },
    { ...at('the next key while both hold', 'update-server', 'then', 55, 'ok'), file: long },
    { ...at('the current key after its time', 'update-server', 'now', 60, 'pin.differs'), file: long },
  ];
}

export const digestOf = (...parts: readonly Uint8Array[]): string => toHex(sha256(Buffer.concat(parts)));
