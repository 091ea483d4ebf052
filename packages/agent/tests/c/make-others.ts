import { type DerCertificate, type Serial, type SpkiSha256, toHex } from '@keystead/core/bytes';
import { SimulatedClock } from '@keystead/core/clock';
import { spkiSha256 } from '@keystead/core/crypto';
import {
  buildDelta,
  buildFilter,
  CarriedFilter,
  decodeFilter,
  encodeFilter,
  type FilterFile,
  filterSha256,
} from '@keystead/core/trust';
import { readCertificate } from '@keystead/core/x509';
import type { BlockForm, Ribbon } from '../../../core/trust/filter/block.ts';
import { DAY, SECOND } from '../../../core/trust/tests/bundle-source.ts';
import { issuerOf, serialOf, sourceOf } from '../../../core/trust/tests/filter-source.ts';
import { altNames, type ForgedCertificate, forge, type Wish } from '../../../core/x509/tests/forge.ts';
import { verifyPeer } from '../../index.ts';
import { type FilterVector, judgeFilter, judgeSession, type PeerVector, type SessionVector } from './vector-set.ts';

const date = (seconds: number): Date => new Date(seconds * 1000);

/** Every form, inverted too; deltas; and what must be refused. */
export function makeFilters(peers: {
  readonly filter: Uint8Array;
  readonly asked: readonly ForgedCertificate[];
}): FilterVector[] {
  const serials = Array.from({ length: 240 }, (_, index) => serialOf(`${index}`));
  const sets = new Map<string, Set<Serial>>([
    ['none', new Set()],
    ['few', new Set(serials.slice(0, 3))],
    ['many', new Set(serials.slice(0, 60))],
    ['most', new Set(serials.slice(0, 235))],
    ['all', new Set(serials)],
  ]);
  const issuers = [...sets.keys()].map(issuerOf);
  const source = (day: number) =>
    sourceOf(
      [...sets].map(([name, set]) => [issuerOf(name), serials, set] as const),
      day,
    );
  const base = buildFilter(source(1));
  for (const set of sets.values()) for (const serial of serials.slice(100, 104)) set.add(serial);
  const delta = buildDelta(source(2), base);
  for (const set of sets.values()) for (const serial of serials.slice(1, 3)) set.delete(serial);
  const second = buildDelta(source(3), base, [delta]);
  const asked = [...issuers, issuerOf('another')].flatMap((issuer) =>
    [...serials.slice(0, 5), ...serials.slice(98, 106), ...serials.slice(230, 240)].map((serial) => ({
      issuer,
      serial,
    })),
  );
  const odd = ['00', '80', `00${'f0'.repeat(19)}`, '41'.repeat(21)].map((serial) => ({
    issuer: issuerOf('few'),
    serial,
  }));
  const changed = (at: number, value: number) => base.map((byte, index) => (index === at ? value : byte));
  const vectors: readonly (readonly [string, readonly Uint8Array[], string, string?])[] = [
    ['every form', [base], 'ok'],
    ['a delta', [base, delta], 'ok'],
    ['two deltas', [base, delta, second], 'ok'],
    ['no issuers', [buildFilter(sourceOf([]))], 'ok'],
    ['the filter of the peers', [peers.filter], 'ok'],
    ['another than the bundle names', [base], 'filter.not-named', filterSha256(delta)],
    ['a delta alone', [delta], 'filter.base-differs'],
    ['a delta left out', [base, second], 'filter.base-differs'],
    ['deltas the wrong way round', [base, second, delta], 'filter.base-differs'],
    ['a base after a base', [base, base], 'filter.base-differs'],
    ['no bytes', [new Uint8Array()], 'filter.malformed'],
    ['something behind it', [new Uint8Array(Buffer.concat([base, Buffer.alloc(1)]))], 'filter.malformed'],
    ['another magic', [changed(0, 0x4c)], 'filter.malformed'],
    ['version 2', [changed(4, 2)], 'filter.malformed'],
    ['a kind that does not fit', [changed(5, 1)], 'filter.malformed'],
    ['a date far beyond 9999', [changed(6, 1)], 'filter.malformed'],
    ['through after its date', [changed(17, 255)], 'filter.malformed'],
    ['more blocks than there are', [changed(63, 6)], 'filter.malformed'],
    ['fewer blocks than there are', [changed(63, 4)], 'filter.malformed'],
    ['a flag that nobody knows', [changed(64 + 32, 4)], 'filter.malformed'],
    ['an issuer that is covered for longer than the file', [changed(64 + 32, 2)], 'filter.malformed'],
    ['an unknown form', [changed(64 + 33, 3)], 'filter.malformed'],
    ...builtByHand(base),
  ];
  return vectors.map(([name, files, expected, named = filterSha256(files.at(-1) ?? base)]) => {
    const own = peers.asked
      .map(({ der }) => fieldsOf(der, peers.asked))
      .map(({ issuer, serial }) => ({ issuer, serial }));
    const byHand = files[0] !== base && !files.includes(peers.filter);
    const few = byHand ? asked.slice(0, 30) : asked;
    const questions = files.includes(peers.filter) ? own : [...few, ...odd];
    const answers = expected === 'ok' ? questions.map((one) => ({ ...one, says: '-' as const })) : [];
    const vector = { name, files: files.map(toHex), named, expected, answers };
    const judged = judgeFilter(vector);
    if (judged.expected !== expected) throw new TypeError(`${name}: ${judged.expected}, not ${expected}`);
    return { ...vector, ...judged };
  });
}

/** Files that no builder makes, byte for byte what they say. */
function builtByHand(base: Uint8Array): [name: string, files: readonly Uint8Array[], expected: string][] {
  const times = { base: undefined, date: 1000, through: 1000, expires: 1001 };
  const issuer = issuerOf('few');
  const block = (form: BlockForm) => ({ issuerSpkiSha256: issuer, inverted: false, form });
  const of = (form: BlockForm) => [encodeFilter({ ...times, blocks: [block(form)] })];
  const list = (width: number, ...hashes: readonly number[]) =>
    of({ kind: 'list', width, hashes: Uint8Array.from(hashes) });
  const column = (size: number) => new Uint32Array(Math.ceil(size / 32) + 1);
  const ribbon = (size: number, columns = 1) => ({
    salt: 0,
    size,
    columns: Array.from({ length: columns }, () => column(size)),
  });
  const full = (size: number) => ({ salt: 0, size, columns: [column(size).fill(0xffff_ffff)] });
  const empty = { salt: 7, size: 0, columns: [] };
  const two = (approximate: Ribbon, exact: Ribbon) => of({ kind: 'ribbon', approximate, exact });
  const { date, through, expires } = decodeFilter(base);
  const delta = (more: Partial<FilterFile>) => [
    base,
    encodeFilter({ base: filterSha256(base), date, through, expires, blocks: [], ...more }),
  ];
  const none = block({ kind: 'none' });
  const covering = (own: number) => encodeFilter({ ...times, blocks: [{ ...none, through: own }] });
  const issuersOf = (first: string, second: string) =>
    encodeFilter({
      ...times,
      blocks: [first, second].map((issuerSpkiSha256) => ({
        ...none,
        issuerSpkiSha256: issuerSpkiSha256 as SpkiSha256,
      })),
    });
  return [
    ['one prefix of one byte', list(1, 0), 'ok'],
    ['prefixes in order', list(2, 0, 255, 1, 0), 'ok'],
    ['prefixes in another order', list(2, 1, 0, 0, 255), 'filter.malformed'],
    ['a prefix twice', list(2, 1, 0, 1, 0), 'filter.malformed'],
    ['a prefix of 32 bytes', list(32, ...new Uint8Array(32)), 'ok'],
    ['a prefix of 33 bytes', list(33, ...new Uint8Array(33)), 'filter.malformed'],
    ['no prefixes', list(1), 'filter.malformed'],
    ['ribbons that let everybody through', two(empty, empty), 'ok'],
    ['the least ribbons', two(ribbon(224), ribbon(224)), 'ok'],
    ['ribbons of 225 bits', two(ribbon(225, 3), ribbon(225)), 'ok'],
    ['a ribbon of 32 columns', two(ribbon(231, 32), empty), 'ok'],
    ['a ribbon of 33 columns', two(ribbon(231, 33), empty), 'filter.malformed'],
    ['a ribbon of 223 bits', two(ribbon(223), empty), 'filter.malformed'],
    ['a size without columns', two(ribbon(224, 0), empty), 'filter.malformed'],
    ['two exact columns', two(empty, ribbon(224, 2)), 'filter.malformed'],
    ['bits behind the end of the first level', two(full(231), ribbon(224)), 'filter.malformed'],
    ['bits behind the end of the second level', two(ribbon(224), full(231)), 'filter.malformed'],
    ['no bits behind the end', two(full(232), full(224)), 'ok'],
    ['issuers in order', [issuersOf('00'.repeat(32), '01'.repeat(32))], 'ok'],
    ['an issuer that is covered for less', [covering(999)], 'ok'],
    ['an issuer of which nothing is known yet', [covering(0)], 'ok'],
    ['an issuer that says the time of the file again', [covering(1000)], 'filter.malformed'],
    ['issuers in another order', [issuersOf('01'.repeat(32), '00'.repeat(32))], 'filter.malformed'],
    ['an issuer twice', [issuersOf('01'.repeat(32), '01'.repeat(32))], 'filter.malformed'],
    ['an end with its date', [encodeFilter({ ...times, expires: 1000, blocks: [] })], 'filter.malformed'],
    ['the last second of 9999', [encodeFilter({ ...times, expires: 253_402_300_799, blocks: [] })], 'ok'],
    ['a second after 9999', [encodeFilter({ ...times, expires: 253_402_300_800, blocks: [] })], 'filter.malformed'],
    ['a delta of the same date', delta({}), 'ok'],
    ['a delta of an older date', delta({ date: date - 1 }), 'filter.base-differs'],
    ['a delta that covers less', delta({ through: through - 1 }), 'filter.base-differs'],
  ];
}

/** What a TLS library reads of a certificate whose issuer is one of those given. */
function fieldsOf(der: DerCertificate, issuers: readonly ForgedCertificate[]): PeerVector['path'][number] {
  const { serial, notBefore, notAfter, issuerDer } = readCertificate(der);
  const by = issuers.find(({ subject }) => Buffer.compare(subject, issuerDer) === 0);
  if (by === undefined) throw new TypeError('a certificate of a stranger');
  // The octets of a positive INTEGER, whose first bit is clear.
  const octets = Number.parseInt(serial.slice(0, 2), 16) >= 0x80 ? `00${serial}` : serial;
  const seconds = (time: Date) => time.getTime() / 1000;
  return {
    issuer: spkiSha256(by.key.spki),
    serial: octets,
    notBefore: seconds(notBefore),
    notAfter: seconds(notAfter),
  };
}

const AT = { begins: SECOND - 30 * DAY, date: SECOND, expires: SECOND + 30 * DAY, ends: SECOND + 300 * DAY };

/** Peers with real certificates, of which verifyPeer says the same where nothing is tolerated. */
export async function makePeers(): Promise<{
  filter: Uint8Array;
  asked: readonly ForgedCertificate[];
  vectors: PeerVector[];
}> {
  const wish = { notBefore: date(AT.begins), notAfter: date(AT.ends) };
  // The path above a peer is older than it.
  const above = { ca: true, notBefore: date(AT.begins - DAY), notAfter: wish.notAfter };
  const root = forge({ subject: ['CN=root'], ...above });
  const ca = forge({ subject: ['CN=ca'], by: root, ...above });
  const badCa = forge({ subject: ['CN=bad ca'], by: root, ...above });
  const newCa = forge({ subject: ['CN=new ca'], by: root, ...above });
  const factory = forge({ subject: ['CN=factory'], by: root, ...above });
  const silent = forge({ subject: ['CN=silent factory'], by: root, ...above });
  const device = (by: ForgedCertificate, more: Wish = {}) =>
    forge({
      subject: ['CN=pump'],
      by,
      extKeyUsage: ['clientAuth'],
      extensions: [altNames('URI:urn:keystead:device:pump')],
      ...wish,
      ...more,
    });
  const [good, revoked, ofBadCa, ofNewCa] = [device(ca), device(ca), device(badCa), device(newCa)];
  const ended = device(ca, { notAfter: date(SECOND + DAY) });
  const past = device(ca, { notAfter: date(AT.date) });
  const young = device(ca, { notBefore: date(SECOND - 299) });
  const old = device(ca, { notBefore: date(SECOND - 300) });
  // What the factory made is known until ten days ago; of the silent one nothing is.
  const known = SECOND - 10 * DAY;
  const [told, stolen] = [device(factory), device(factory, { notBefore: date(known) })];
  const untold = device(factory, { notBefore: date(known + 1) });
  const ofSilent = device(silent);
  const hexOf = ({ der }: ForgedCertificate) => readCertificate(der).serial;
  const of = (
    by: ForgedCertificate,
    issued: readonly ForgedCertificate[],
    bad: readonly ForgedCertificate[],
    through?: number,
  ) =>
    [
      spkiSha256(by.key.spki) as SpkiSha256,
      issued.map(hexOf),
      new Set(bad.map(hexOf)),
      through === undefined ? undefined : date(through),
    ] as const;
  const filter = buildFilter({
    ...sourceOf([
      of(root, [ca, badCa, newCa, factory, silent], [badCa]),
      of(ca, [good, revoked, ended, old], [revoked]),
      of(badCa, [ofBadCa], []),
      of(factory, [told, stolen], [stolen], known),
      of(silent, [], [], 0),
    ]),
    date: date(AT.date),
    backdateSeconds: 300,
    expires: date(AT.expires),
  });
  const all = [root, ca, badCa, newCa, factory, silent];
  const carried = CarriedFilter.open(filter);
  type Rules = { now?: number; tolerate?: number; cover?: 'leaf' | 'path'; filter?: null };
  const vector = async (
    name: string,
    leaf: ForgedCertificate,
    by: ForgedCertificate,
    expected: string,
    depth = 0,
    rules: Rules = {},
  ): Promise<PeerVector> => {
    const { now = SECOND + 60, tolerate = 0, cover = 'leaf' } = rules;
    const said = await verifyPeer([leaf.der, by.der], {
      clock: new SimulatedClock(date(now)),
      anchors: [root.der],
      extKeyUsage: 'clientAuth',
      expected: { device: true },
      ...(rules.filter === null ? {} : { filter: carried }),
      cover,
    });
    // The C has one word for every status that nothing tells.
    const rule = said.ok || said.rule !== 'status-too-young' ? said : { rule: 'status-unavailable', depth: said.depth };
    const verdict = 'rule' in rule ? `${rule.rule} ${rule.depth}` : 'ok 0';
    // verifyPeer tolerates nothing of a filter; and without any source it looks at no status.
    if (tolerate === 0 && rules.filter !== null && verdict !== `${expected} ${depth}`)
      throw new TypeError(`${name}: ${verdict}`);
    return {
      name,
      filter: rules.filter === null ? null : 'the filter of the peers',
      path: [fieldsOf(leaf.der, all), fieldsOf(by.der, all)],
      now,
      tolerateUnknownSeconds: tolerate,
      coverPath: cover === 'path',
      expected,
      depth,
    };
  };
  const week = 7 * DAY;
  const vectors = await Promise.all([
    vector('a good one', good, ca, 'ok'),
    vector('a good one, and its CA', good, ca, 'ok', 0, { cover: 'path' }),
    vector('one that is revoked', revoked, ca, 'revoked'),
    vector('one that is revoked, whatever is tolerated', revoked, ca, 'revoked', 0, { tolerate: week }),
    vector('one whose CA is revoked', ofBadCa, badCa, 'revoked', 1, { cover: 'path' }),
    vector('one whose CA is revoked, asked of the leaf alone', ofBadCa, badCa, 'ok'),
    vector('one of a CA that the filter does not know', ofNewCa, newCa, 'status-unavailable'),
    vector(
      'one of a CA that the filter does not know, whatever is tolerated',
      ofNewCa,
      newCa,
      'status-unavailable',
      0,
      { tolerate: week },
    ),
    vector('before it begins', good, ca, 'not-yet-valid', 0, { now: AT.begins - 1 }),
    vector('in the second in which it begins', good, ca, 'ok', 0, { now: AT.begins }),
    vector('at its last second', ended, ca, 'ok', 0, { now: SECOND + DAY }),
    vector('after its end', ended, ca, 'expired', 0, { now: SECOND + DAY + 1 }),
    vector('ended by the date of the filter, on a clock that is behind', past, ca, 'status-unavailable', 0, {
      now: AT.date - 60,
    }),
    vector('ended by the date of the filter, whatever is tolerated', past, ca, 'status-unavailable', 0, {
      ...{ now: AT.date - 60, tolerate: week },
    }),
    vector('as new as the filter covers', old, ca, 'ok'),
    vector('newer than the filter covers', young, ca, 'status-unavailable'),
    vector('newer than the filter, within what is tolerated', young, ca, 'ok', 0, { tolerate: 360 }),
    vector('newer than the filter, for too long', young, ca, 'status-unavailable', 0, { tolerate: 359 }),
    vector('one of a factory', told, factory, 'ok', 0, { cover: 'path' }),
    vector('the last one that its factory has told of, revoked', stolen, factory, 'revoked'),
    vector('newer than what its factory has told of', untold, factory, 'status-unavailable'),
    vector('newer than what its factory has told of, within what is tolerated', untold, factory, 'ok', 0, {
      tolerate: 10 * DAY + 60,
    }),
    vector('newer than what its factory has told of, for too long', untold, factory, 'status-unavailable', 0, {
      tolerate: 10 * DAY + 59,
    }),
    vector('of a factory that has told of nothing', ofSilent, silent, 'status-unavailable'),
    vector('at the last second of the filter', good, ca, 'ok', 0, { now: AT.expires - 1 }),
    vector('after the end of the filter', good, ca, 'status-unavailable', 0, { now: AT.expires }),
    vector('after the end of the filter, within what is tolerated', good, ca, 'ok', 0, {
      now: AT.expires + week - 1,
      tolerate: week,
    }),
    vector('revoked, after the end of the filter', revoked, ca, 'revoked', 0, {
      now: AT.expires + week - 1,
      tolerate: week,
    }),
    vector('after the end of the filter, for too long', good, ca, 'status-unavailable', 0, {
      now: AT.expires + week,
      tolerate: week,
    }),
    vector('without a filter', good, ca, 'status-unavailable', 0, { filter: null }),
    vector('without a filter, while it is new', good, ca, 'ok', 0, { filter: null, now: AT.begins + 59, tolerate: 60 }),
    vector('without a filter, for too long', good, ca, 'status-unavailable', 0, {
      filter: null,
      now: AT.begins + 60,
      tolerate: 60,
    }),
  ]);
  const nobody = { ...vectors[0], name: 'nobody', path: [], expected: 'no-certificate' } as PeerVector;
  return { filter, asked: all, vectors: [...vectors, nobody] };
}

export function makeSessions(): SessionVector[] {
  const octets = (first: number, length = 32) =>
    toHex(Uint8Array.from({ length }, (_, index) => (first + index) % 256));
  const plain = { exported: octets(0), deviceId: 'pump-1', deviceSalt: octets(100), serviceSalt: octets(180) };
  const made: readonly (Partial<typeof plain> & { name: string })[] = [
    { name: 'a session' },
    { name: 'another device', deviceId: 'pump-2' },
    { name: 'no device id', deviceId: '' },
    { name: 'the longest device id', deviceId: 'd'.repeat(497) },
    { name: 'a device id that is too long', deviceId: 'd'.repeat(498) },
    { name: 'another salt of the service', serviceSalt: octets(181) },
    { name: 'another secret', exported: octets(1) },
    { name: 'a longer secret', exported: octets(0, 48) },
    { name: 'a secret that is too short', exported: octets(0, 31) },
  ];
  return made.map((more) => {
    const vector = { ...plain, ...more, expected: '', clientWrite: '', serverWrite: '' };
    return { ...vector, ...judgeSession(vector) };
  });
}
