import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import type { DerCertificate, DerSpki, Serial } from '@keystead/core/bytes';
import { buildDelta, buildFilter, filterSha256, type TrustState } from '@keystead/core/trust';
import { decode, encode } from 'cborg';
import { contentWith, DAY, newSigner, pin, SECOND } from '../../core/trust/tests/bundle-source.ts';
import { issuerOf, serialOf, sourceOf } from '../../core/trust/tests/filter-source.ts';
import { headerOf, type RawContent, rawOf, sealed, unsealed } from '../../core/trust/tests/raw-bundle.ts';
import { forge } from '../../core/x509/tests/forge.ts';
import { Chance } from './c/chance.ts';
import { Cases } from './c/differential.ts';
import { otherSpellings } from './c/spellings.ts';
import { testSource, Workshop } from './c/toolchain.ts';

/**
 * The C library and @keystead/core judge the same thousands of inputs, most of them wrong, and must say the same of each.
 * The C side runs under the address and undefined-behaviour sanitizers, with mbedTLS as its cryptography.
 */
const workshop = new Workshop();
after(() => workshop[Symbol.dispose]());
let program: string;
before(() => {
  program = workshop.hostProgram('judge', [testSource('judge.c')]);
});

async function agree(name: string, cases: Cases): Promise<void> {
  const path = workshop.at(`${name}.cases`);
  writeFileSync(path, cases.bytes);
  const said = (await workshop.start(program, [path])).trimEnd().split('\n');
  assert.equal(said.length, cases.expected.length);
  for (const [index, line] of said.entries()) {
    const [c, typescript] = [line.trimEnd(), cases.expected[index] ?? ''];
    const at = [...c].findIndex((letter, place) => letter !== typescript[place]);
    // Of long lines, where they part.
    const shown = (text: string) => text.slice(Math.max(0, at - 40), Math.max(0, at) + 80);
    assert.ok(c === typescript, `${name} ${index}: C says\n${shown(c)}\nTypeScript says\n${shown(typescript)}`);
  }
}

const [signer, other, wide] = [newSigner(), newSigner(), newSigner('P-384')];
const LONG = new Date((SECOND + 400 * DAY) * 1000);
const authority = (notAfter = LONG): DerCertificate => forge({ subject: ['CN=root'], ca: true, notAfter }).der;
const root = authority();
const CERTIFICATES: readonly Uint8Array[] = [
  root,
  authority(),
  authority(new Date((SECOND + 90 * DAY) * 1000)),
  forge({ subject: ['CN=pump'], notAfter: LONG }).der,
  root.subarray(0, -1),
  Buffer.from('no certificate'),
];
const KEYS: readonly Uint8Array[] = [
  signer.spki,
  other.spki,
  wide.spki,
  signer.spki.subarray(1),
  Buffer.from('no key'),
];

const POOL = [...CERTIFICATES, ...KEYS];

/** Values that stand at the edge of something, and others that stand beside it. */
const TIMES = [0, 1, SECOND - DAY, SECOND, SECOND + 30 * DAY, SECOND + 60 * DAY, SECOND + 365 * DAY, 253_402_300_799];
const NUMBERS = [
  ...TIMES,
  2,
  3,
  23,
  24,
  255,
  256,
  65_535,
  65_536,
  0xffff_ffff,
  0x1_0000_0000,
  253_402_300_800,
  -1,
  1.5,
];
const NAMES = [
  'pumps',
  'pump-a',
  'update-server',
  'a',
  '-a',
  'A',
  '',
  'a'.repeat(32),
  'a'.repeat(33),
  'a_b',
  'ä',
  'a-',
];

/** Anything that may stand where something else should. */
function strange(chance: Chance): unknown {
  return chance.of<() => unknown>([
    () => chance.of(NUMBERS),
    () => chance.of(NUMBERS),
    () => chance.of(NAMES),
    () => chance.of([null, true, false]),
    () => new Uint8Array(chance.of([0, 1, 31, 32, 33])).fill(chance.below(256)),
    () => Buffer.from(pin(chance.of(['now', 'then', 'safe', 'firmware'])), 'hex'),
    () => chance.of(CERTIFICATES),
    () => chance.of(KEYS),
    () => [],
    () => new Map([[1, 1]]),
  ])();
}

/** A value of the kind that stands there, so that more than the form is judged. */
function alike(value: unknown, chance: Chance): unknown {
  if (typeof value === 'number') return chance.one(2) ? chance.of(NUMBERS) : value + chance.of([-1, 1, DAY, -DAY]);
  if (typeof value === 'string') return chance.of(NAMES);
  if (!(value instanceof Uint8Array)) return value;
  if (value.length === 32) return Buffer.from(pin(chance.of(['now', 'then', 'safe', 'firmware'])), 'hex');
  return chance.of(value.length > 200 ? CERTIFICATES : KEYS);
}

/** One change somewhere inside a content. */
function changed(value: unknown, chance: Chance): unknown {
  if (Array.isArray(value)) {
    const rows: unknown[] = [...value];
    const at = chance.below(rows.length + 1);
    const whole = chance.below(8);
    if (whole === 0) rows.splice(at, 1);
    else if (whole === 1) rows.splice(at, 0, rows[chance.below(rows.length + 1)] ?? strange(chance));
    else if (whole === 2) rows.reverse();
    else if (whole === 3 && rows.length > 0) {
      const most = chance.of([8, 9, 16, 17, 32, 33]);
      while (rows.length < most) rows.push(rows[chance.below(rows.length)]);
    } else if (at < rows.length) rows[at] = changed(rows[at], chance);
    return rows;
  }
  if (value instanceof Map) {
    const copy: RawContent = new Map(value);
    const key = chance.one(10) ? chance.below(12) : 1 + chance.below(10);
    if (chance.one(12)) copy.delete(key);
    else copy.set(key, changed(copy.get(key), chance));
    return copy;
  }
  return chance.one(5) ? strange(chance) : alike(value, chance);
}

/** Another spelling of the same, or something broken: bytes that are changed, doubled, cut out or put in. */
function torn(bytes: Uint8Array, chance: Chance): Uint8Array {
  const at = chance.below(bytes.length + 1);
  const [before, behind] = [bytes.subarray(0, at), bytes.subarray(at)];
  switch (chance.below(6)) {
    case 0:
      return before;
    case 1:
      return Buffer.concat([before, behind.subarray(1)]);
    case 2:
      return Buffer.concat([before, Uint8Array.of(chance.below(256)), behind]);
    case 3:
      return Buffer.concat([before, behind.subarray(0, chance.below(8)), behind]);
    // A longer head for the number that may stand there.
    case 4:
      return Buffer.concat([before, Uint8Array.of((behind[0] ?? 0) | 24, (behind[0] ?? 0) & 31), behind.subarray(1)]);
    default: {
      const copy = Uint8Array.from(bytes);
      if (at < copy.length) copy[at] = chance.one(2) ? (copy[at] ?? 0) ^ (1 << chance.below(8)) : chance.below(256);
      return copy;
    }
  }
}

const rows = (raw: RawContent, member: number): readonly (readonly unknown[])[] =>
  raw.get(member) as readonly (readonly unknown[])[];

const header = headerOf(signer.spki, 'P-256');
const rich = rawOf(
  contentWith(signer, root, {
    pins: ['update-server', 'broker'].flatMap((role) =>
      contentWith(signer, root).pins.map((one) => ({ ...one, role })),
    ),
    signers: [signer, other].map(({ spki }) => ({ spki, from: SECOND - DAY, until: SECOND + 365 * DAY })),
    firmware: ['pump-a', 'pump-b'].map((product) => ({
      product,
      signers: [pin('firmware')],
      minimumSecurityCounter: 3,
    })),
    filterSha256: pin('filter'),
  }),
);

test('TEST-KEY-10 the C library reads and judges thousands of bundles as TypeScript does: contents changed where it hurts, and bytes', async () => {
  const chance = new Chance(20_270_115);
  const cases = new Cases();
  cases.content(unsealed(encode(rich), header), POOL);
  for (let round = 0; round < 3500; round += 1) {
    let raw: unknown = rich;
    // What is read last is seldom come upon by chance.
    if (round % 5 === 0) {
      const [anchors, signers] = [rows(rich, 6), rows(rich, 8)];
      raw = new Map(rich).set(6, [[0, chance.of(CERTIFICATES), ...(anchors[0]?.slice(2) ?? [])]]);
      if (round % 2 === 0) raw = new Map(rich).set(8, [...signers, [chance.of(KEYS), ...(signers[0]?.slice(1) ?? [])]]);
    }
    for (let times = chance.below(2) + Number(round % 5 !== 0); times > 0; times -= 1) raw = changed(raw, chance);
    let payload: Uint8Array;
    try {
      payload = encode(raw);
    } catch {
      continue;
    }
    cases.content(unsealed(payload, header), POOL);
  }
  const whole = unsealed(encode(rich), header);
  for (let round = 0; round < 1500; round += 1) cases.content(torn(whole, chance), POOL);
  for (let round = 0; round < 600; round += 1) cases.content(unsealed(torn(encode(rich), chance), header), POOL);
  for (let round = 0; round < 400; round += 1) {
    const members = decode(header, { useMaps: true }) as RawContent;
    members.set(chance.of([1, 3, 4, 5]), chance.of([-7, -35, -19, -8, 3, 'x', new Uint8Array(31), new Uint8Array(32)]));
    cases.content(unsealed(encode(rich), chance.one(2) ? encode(members) : torn(header, chance)), POOL);
  }
  for (const verdict of ['ok', 'trust-bundle.rule', 'trust-bundle.malformed', 'key.refused', 'cert.malformed'])
    assert.ok((cases.tally.get(verdict) ?? 0) > 20, `${verdict}: ${cases.tally.get(verdict)}`);
  await agree('contents', cases);
});

test('TEST-KEY-10 the C library takes a signer in the one encoding of its key, as TypeScript does, and in no other that mbedTLS reads', async () => {
  const cases = new Cases();
  const spellings = otherSpellings(signer.spki);
  const window = [SECOND - DAY, SECOND + 365 * DAY];
  for (const spki of [other.spki, wide.spki, ...spellings]) {
    const raw = new Map(rich).set(8, [...rows(rich, 8).slice(0, 1), [spki, ...window]]);
    cases.content(unsealed(encode(raw), header), [...POOL, ...spellings]);
  }
  assert.deepEqual([cases.tally.get('ok'), cases.tally.get('key.refused')], [2, spellings.length]);
  await agree('spellings', cases);
});

test('TEST-KEY-10 the C library has the bounds of a bundle and of a filter to the byte, as TypeScript has them', async () => {
  const cases = new Cases();
  const row = (member: number) => rows(rich, member)[0] ?? [];
  const bytes = (member: number, place: number, length: number) =>
    new Map(rich).set(member, [row(member).map((old, at) => (at === place ? new Uint8Array(length) : old))]);
  for (const [member, place, lengths] of [
    [6, 1, [0, 1, 4095, 4096, 4097]],
    [8, 0, [0, 1, 1023, 1024, 1025]],
  ] as const)
    for (const length of lengths) cases.content(unsealed(encode(bytes(member, place, length)), header), POOL);
  // A signature of any length can be read, in a file of at most 130 KiB.
  const around = unsealed(encode(rich), header, new Uint8Array(70_000)).length - 70_000;
  for (const length of [130 * 1024 - 1, 130 * 1024, 130 * 1024 + 1])
    cases.content(unsealed(encode(rich), header, new Uint8Array(length - around)), POOL);
  assert.deepEqual(
    [...cases.tally],
    [
      ['trust-bundle.malformed', 5],
      ['ok', 8],
    ],
  );
  const filters = new Cases();
  const issuers = Array.from({ length: 1025 }, (_, index) => [issuerOf(`${index}`), [], new Set<Serial>()] as const);
  for (const count of [1023, 1024, 1025]) {
    const file = buildFilter(sourceOf(issuers.slice(0, count)));
    const asked = ['0', '1023', '1024'].map((name) => ({ issuer: Buffer.from(name) as Uint8Array as DerSpki }));
    const now = Math.floor(Date.UTC(2027, 0, 2) / 1000);
    const question = { serial: '01', notBefore: 0, notAfter: now + DAY, now };
    filters.filter(
      [file],
      filterSha256(file),
      asked.map((one) => ({ ...one, ...question })),
    );
  }
  assert.deepEqual(
    [...filters.tally],
    [
      ['ok', 2],
      ['filter.malformed', 1],
    ],
  );
  await agree('bounds', cases);
  await agree('most blocks', filters);
});

test('TEST-KEY-10 the C library takes and refuses signed bundles as TypeScript does, in chains and by every rule of the state [mbedTLS: COSE trust bundle]', async () => {
  const chance = new Chance(7);
  const cases = new Cases();
  const signers = [signer, other, wide];
  const plain = (more: Parameters<typeof contentWith>[2] = {}) => contentWith(signer, root, more);
  for (let round = 0; round < 360; round += 1) {
    const windows = () => ({
      from: SECOND - chance.of([DAY, 0, 50 * DAY, 50 * DAY]),
      until: SECOND + chance.of([DAY, 0, 1, 40 * DAY, 365 * DAY, 365 * DAY]),
    });
    const files: Uint8Array[] = [];
    for (let count = 1 + chance.below(2); count > 0; count -= 1) {
      const by = chance.of(signers);
      const content = plain({
        fleet: chance.one(12) ? 'monitors' : 'pumps',
        version: chance.of([6, 7, 7, 8, 0xffff_ffff]),
        issuedAt: SECOND + chance.of([0, -2, -2, -DAY, 300, 301, -41 * DAY]),
        expires: SECOND + chance.of([1, 0, 30 * DAY, 30 * DAY]),
        signers: signers.map(({ spki }) => ({ spki, from: SECOND - 60 * DAY, until: SECOND + 365 * DAY })),
        pins: chance.one(3) ? [] : plain().pins,
        firmware: chance.one(8)
          ? []
          : [{ product: 'pump-a', signers: [pin('f')], minimumSecurityCounter: chance.of([2, 3, 4]) }],
      });
      const payload = encode(rawOf(content));
      // Now and then a header that names another algorithm than the key is of.
      const named = chance.one(10) ? chance.of(['P-256', 'P-384', 'Ed25519']) : by.keyAlgorithm;
      const file = await sealed(payload, by, headerOf(by.spki, named));
      files.push(chance.one(12) ? torn(file, chance) : file);
    }
    const known: TrustState = {
      fleet: 'pumps',
      version: chance.of([0, 5, 6, 7]),
      sha256: pin('another'),
      signers: signers.slice(0, 1 + chance.below(3)).map(({ spki }) => ({ spki, ...windows() })),
      firmware: chance.one(2) ? [] : [{ product: 'pump-a', minimumSecurityCounter: 3 }],
    };
    cases.take(files, known, SECOND);
  }
  for (const verdict of ['ok', 'fleet-differs', 'rolled-back', 'forked', 'not-yet-valid', 'expired', 'signer-unknown'])
    assert.ok(
      (cases.tally.get(verdict === 'ok' ? verdict : `trust-bundle.${verdict}`) ?? 0) > 3,
      JSON.stringify([...cases.tally]),
    );
  await agree('states', cases);
});

test('TEST-KEY-10 the C library opens thousands of filters and deltas, most of them torn, and answers as TypeScript does', async () => {
  const chance = new Chance(11);
  const names = ['few', 'many', 'most', 'none', 'long'];
  const serials = Array.from({ length: 900 }, (_, index) => serialOf(`${index}`));
  // Of more certificates than one band has room for: bands begin anywhere.
  const long = Array.from({ length: 4000 }, (_, index) => serialOf(`long ${index}`));
  const revoked = new Map([
    ['few', new Set<Serial>(serials.slice(0, 3))],
    ['many', new Set<Serial>(serials.slice(0, 90))],
    ['most', new Set<Serial>(serials.slice(0, 880))],
    ['none', new Set<Serial>()],
    ['long', new Set<Serial>(long.slice(0, 700))],
  ]);
  // What is known of one of them ends earlier, and in the last delta earlier than before.
  const known = (day: number) => new Date(Date.UTC(2027, 0, day === 3 ? 1 : day) - 301_000);
  const source = (day: number) =>
    sourceOf(
      names.map(
        (name) =>
          [
            issuerOf(name),
            name === 'long' ? [...long, ...serials] : serials,
            revoked.get(name) ?? new Set<Serial>(),
            name === 'many' ? known(day) : undefined,
          ] as const,
      ),
      day,
    );
  const base = buildFilter(source(1));
  for (const set of revoked.values()) for (const serial of serials.slice(700, 740)) set.add(serial);
  const delta = buildDelta(source(2), base);
  for (const set of revoked.values()) for (const serial of serials.slice(20, 30)) set.delete(serial);
  const second = buildDelta(source(3), base, [delta]);
  const asked = [
    ...serials.slice(0, 400),
    ...serials.slice(700, 740),
    ...long.filter((_, index) => index % 8 === 0),
    ...['00', '01', '0080', '80', 'ff01', `00${'ee'.repeat(20)}`, 'ab'.repeat(21).replace(/^a/, '1')],
  ];
  const questions = (count: number, day = Math.floor(Date.UTC(2027, 0, 1) / 1000)) =>
    Array.from({ length: count }, () => ({
      issuer: Buffer.from(chance.of([...names, 'another'])) as Uint8Array as DerSpki,
      serial: chance.of<string>(asked),
      notBefore: day + chance.of([-DAY, -DAY, -301, -300, -299, 0]),
      notAfter: day + chance.of([-60, 0, 1, 60, 60 * DAY, 60 * DAY, 60 * DAY, 60 * DAY]),
      now: day + chance.of([-90, 0, 60, 29 * DAY, 30 * DAY - 1, 30 * DAY, 40 * DAY]),
    }));
  const cases = new Cases();
  cases.filter([base], filterSha256(base), questions(600));
  cases.filter([base, delta], filterSha256(delta), questions(600, Math.floor(Date.UTC(2027, 0, 2) / 1000)));
  cases.filter([base, delta, second], filterSha256(second), questions(600, Math.floor(Date.UTC(2027, 0, 3) / 1000)));
  for (const files of [[delta], [base, second], [delta, base], [base, base]])
    cases.filter(files, filterSha256(files.at(-1) ?? base), []);
  for (let length = 0; length < base.length; length += 1) {
    const cut = base.subarray(0, length);
    cases.filter([cut], filterSha256(cut), []);
  }
  for (let round = 0; round < 2500; round += 1) {
    const bytes = torn(chance.one(3) ? base.subarray(0, 64 + chance.below(300)) : base, chance);
    cases.filter([bytes], filterSha256(bytes), questions(4));
  }
  for (let round = 0; round < 200; round += 1) {
    const bytes = torn(delta, chance);
    cases.filter([base, bytes], filterSha256(bytes), questions(4));
  }
  for (const verdict of ['ok', 'filter.malformed', 'filter.base-differs'])
    assert.ok((cases.tally.get(verdict) ?? 0) > 3, `${verdict}: ${cases.tally.get(verdict)}`);
  await agree('filters', cases);
});

test('TEST-KEY-04 the C library derives the keys that TypeScript derives, of every length, and refuses the same', async () => {
  const chance = new Chance(5);
  const cases = new Cases();
  const bytes = (length: number) => Uint8Array.from({ length }, () => chance.below(256));
  const purposes = [
    'session client write',
    'a',
    '0',
    '',
    ' a',
    '-',
    '.a',
    'a.b-c d',
    'A',
    'ä',
    'a'.repeat(64),
    'a'.repeat(65),
  ];
  for (let round = 0; round < 400; round += 1) {
    cases.purposeKey(
      bytes(chance.of([32, 33, 48, 64, 65, 200])),
      bytes(chance.of([0, 1, 32, 64, 65])),
      bytes(chance.of([0, 1, 21, 300, 512, 513])),
      round < 200 ? chance.of(purposes.slice(0, 3)) : chance.of(purposes),
      chance.of([0, 1, 16, 31, 32, 33, 64, 100, 8160, 8161]),
    );
  }
  assert.ok((cases.tally.get('ok') ?? 0) > 100 && (cases.tally.get('kdf.input') ?? 0) > 100);
  await agree('purposes', cases);
});
