import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DerSpki, Serial, SpkiSha256 } from '@keystead/core/bytes';
import { sha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { buildDelta, buildFilter, CarriedFilter, decodeFilter, encodeFilter } from '@keystead/core/trust';
import fc from 'fast-check';
import { entropyBound, issuerOf, serialOf, sourceOf } from './filter-source.ts';

const ISSUER = issuerOf('operational');
const code = (expected: string) => (error: unknown) => error instanceof KeysteadError && error.code === expected;

test('TEST-KEY-10 a filter is exact for every certificate that it was built from, whatever the share that is revoked', () => {
  const shares = fc.record({
    count: fc.integer({ min: 0, max: 3000 }),
    share: fc.oneof(fc.constantFrom(0, 0.001, 0.01, 0.5, 0.99, 1), fc.double({ min: 0, max: 1, noNaN: true })),
    seed: fc.nat(),
  });
  fc.assert(
    fc.property(shares, ({ count, share, seed }) => {
      const serials = Array.from({ length: count }, (_, index) => serialOf(`${seed}-${index}`));
      const revoked = new Set(serials.slice(0, Math.round(count * share)));
      const filter = CarriedFilter.open(buildFilter(sourceOf([[ISSUER, serials, revoked]])));
      return serials.every((serial) => filter.says(ISSUER, serial) === revoked.has(serial));
    }),
    { numRuns: 40 },
  );
});

test('TEST-KEY-10 a filter of 100,000 certificates with 1% revoked takes little more than information theory demands', () => {
  const serials = Array.from({ length: 100_000 }, (_, index) => serialOf(`${index}`));
  const revoked = new Set(serials.slice(0, 1000));
  const bytes = buildFilter(sourceOf([[ISSUER, serials, revoked]]));
  const ratio = (bytes.length * 8) / entropyBound(100_000, 1000);
  // A thousand equations in bands of 224: the ends weigh more than with the ten thousand of the bench.
  assert.ok(ratio < 1.25, `${ratio}`);
});

test('TEST-KEY-10 the same source gives the same bytes, and they read back as they were', () => {
  const serials = Array.from({ length: 5000 }, (_, index) => serialOf(`${index}`));
  const source = sourceOf([
    [ISSUER, serials, new Set(serials.slice(0, 400))],
    [issuerOf('manufacturing'), serials.slice(0, 10), new Set(serials.slice(0, 1))],
    [issuerOf('server'), serials, new Set()],
  ]);
  const bytes = buildFilter(source);
  assert.deepEqual(buildFilter(source), bytes);
  assert.deepEqual(encodeFilter(decodeFilter(bytes)), bytes);
});

test('TEST-KEY-10 deltas one after another say what a whole filter would say', () => {
  const serials = Array.from({ length: 4000 }, (_, index) => serialOf(`${index}`));
  const revoked = new Set<Serial>(serials.slice(0, 40));
  const source = (count: number, day: number) => sourceOf([[ISSUER, serials.slice(0, count), revoked]], day);
  const base = buildFilter(source(2000, 1));
  const deltas: Uint8Array[] = [];
  for (const day of [2, 3, 4]) {
    for (const serial of serials.slice(day * 500, day * 500 + 7)) revoked.add(serial);
    // One comes off its hold.
    revoked.delete(serials[day] as Serial);
    const count = 2000 + day * 500;
    deltas.push(buildDelta(source(count, day), base, deltas));
    const carried = CarriedFilter.open(base, deltas);
    for (const serial of serials.slice(0, count)) assert.equal(carried.says(ISSUER, serial), revoked.has(serial));
  }
  assert.throws(() => CarriedFilter.open(base, deltas.slice(1)), code('filter.base-differs'));
  assert.throws(() => CarriedFilter.open(base, [...deltas].reverse()), code('filter.base-differs'));
  assert.throws(() => CarriedFilter.open(deltas[0] as Uint8Array), code('filter.base-differs'));
});

test('TEST-KEY-10 what is too new, has ended by its date, is of another issuer, or is asked for after its end is not covered', () => {
  const serials = Array.from({ length: 50 }, (_, index) => serialOf(`${index}`));
  const source = sourceOf([[ISSUER, serials, new Set(serials.slice(0, 5))]]);
  const filter = CarriedFilter.open(buildFilter(source));
  const issuer = (name: string) => ({ spki: Buffer.from(name) as Uint8Array as DerSpki });
  const day = 86_400_000;
  const ending = (at: number) => new Date(source.date.getTime() + at);
  const issued = (index: number, notBefore: Date, notAfter: Date) => ({
    ...{ serial: serialOf(`${index}`), notBefore, notAfter },
  });
  const early = new Date(source.date.getTime() - 3_600_000);
  const now = new Date(source.date.getTime() + 1000);
  const verdict = (index: number, notBefore: Date, at: Date, name = 'operational', notAfter = ending(day)) =>
    filter.verdict(issued(index, notBefore, notAfter), issuer(name), at);
  assert.equal(verdict(0, early, now), 'revoked');
  assert.equal(verdict(40, early, now), 'good');
  assert.equal(verdict(0, source.date, now), 'not-covered');
  assert.equal(verdict(0, new Date(Number.NaN), now), 'not-covered');
  assert.equal(verdict(0, early, now, 'another'), 'not-covered');
  assert.equal(verdict(0, early, source.expires), 'not-covered');
  assert.equal(verdict(0, early, new Date(Number.NaN)), 'not-covered');
  // A revoked one that had ended is not in it; where the clock is behind the filter's date it would be good.
  const behind = new Date(source.date.getTime() - 60_000);
  assert.equal(verdict(60, early, behind, 'operational', source.date), 'not-covered');
  assert.equal(verdict(0, early, behind, 'operational', source.date), 'not-covered');
  assert.equal(verdict(0, early, behind, 'operational', ending(1000)), 'revoked');
  assert.equal(verdict(0, early, now, 'operational', new Date(Number.NaN)), 'not-covered');
});

test('TEST-KEY-10 of a CA that is believed no more a filter has all as revoked, also what was never issued; a delta says so after one of which nothing was revoked, and no other', () => {
  const serials = Array.from({ length: 600 }, (_, index) => serialOf(`${index}`));
  const source = (revoked: number, day: number, allRevoked = false) => {
    const { issuers, ...more } = sourceOf([[ISSUER, serials, new Set(serials.slice(0, revoked))]], day);
    return { ...more, issuers: issuers.map((one) => ({ ...one, allRevoked })) };
  };
  const strangers = Array.from({ length: 300 }, (_, index) => serialOf(`forged ${index}`));
  const saysSo = (filter: CarriedFilter) =>
    filter.saysOfAll(ISSUER) === true && [...serials, ...strangers].every((one) => filter.says(ISSUER, one) === true);
  assert.ok(saysSo(CarriedFilter.open(buildFilter(source(60, 1, true)))));
  const clean = buildFilter(source(0, 1));
  assert.equal(CarriedFilter.open(clean).saysOfAll(ISSUER), false);
  const ended = buildDelta(source(0, 2, true), clean);
  assert.ok(saysSo(CarriedFilter.open(clean, [ended])));
  assert.ok(saysSo(CarriedFilter.open(clean, [ended, buildDelta(source(0, 3, true), clean, [ended])])));
  const some = buildFilter(source(60, 1));
  assert.equal(CarriedFilter.open(some).saysOfAll(ISSUER), undefined);
  assert.throws(() => buildDelta(source(60, 2, true), some), code('filter.unsolvable'));
  // Of the factory whose CA has another certificate by a CA that is believed, all is as it was.
  const back = buildDelta(source(60, 3), clean, [ended]);
  const carried = CarriedFilter.open(clean, [ended, back]);
  for (const [index, serial] of serials.entries()) assert.equal(carried.says(ISSUER, serial), index < 60);
});

test('TEST-KEY-10 a serial number that is given as revoked and as good is no filter', () => {
  const serial = serialOf('twice');
  let asked = 0;
  const twice = {
    issuerSpkiSha256: ISSUER,
    serials: [serial, serial, serialOf('other')],
    isRevoked: () => {
      asked += 1;
      return asked === 1;
    },
  };
  assert.throws(() => buildFilter({ ...sourceOf([]), issuers: [twice] }), code('filter.unsolvable'));
});

test('TEST-KEY-10 a filter that is cut short or changed is refused with the place, or answers; it never fails otherwise', () => {
  const serials = Array.from({ length: 1500 }, (_, index) => serialOf(`${index}`));
  const bytes = buildFilter(
    sourceOf([
      [ISSUER, serials, new Set(serials.slice(0, 700))],
      [issuerOf('server'), serials, new Set(serials.slice(0, 3))],
    ]),
  );
  for (let length = 0; length < bytes.length; length += 1) {
    assert.throws(() => decodeFilter(bytes.subarray(0, length)), code('filter.malformed'));
  }
  assert.throws(() => decodeFilter(Buffer.concat([bytes, Buffer.alloc(1)])), code('filter.malformed'));
  fc.assert(
    fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), (at, by) => {
      const changed = Uint8Array.from(bytes);
      changed[at] = (changed[at] ?? 0) ^ by;
      try {
        const filter = CarriedFilter.open(changed);
        for (const serial of serials.slice(0, 20)) filter.says(ISSUER, serial);
      } catch (error) {
        return error instanceof KeysteadError && /^filter\./.test(error.code);
      }
      return true;
    }),
    { numRuns: 500 },
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (tail) => {
      const forged = Buffer.concat([bytes.subarray(0, 62), tail]);
      assert.throws(() => decodeFilter(forged), code('filter.malformed'));
    }),
  );
});

test('TEST-KEY-10 a ribbon that says to be longer than its file is refused, up to the greatest size there is', () => {
  const times = { base: undefined, date: 1000, through: 1000, expires: 1001 };
  const form = {
    kind: 'ribbon',
    approximate: { salt: 0, size: 224, columns: [new Uint32Array(8)] },
    exact: { salt: 0, size: 0, columns: [] },
  } as const;
  const bytes = encodeFilter({ ...times, blocks: [{ issuerSpkiSha256: ISSUER, inverted: false, form }] });
  // Behind the header, the block's, salt and number of columns.
  const at = 64 + 34 + 2;
  for (const size of [225, 232, 2 ** 31, 2 ** 32 - 8, ...[7, 6, 5, 4, 3, 2, 1].map((less) => 2 ** 32 - less)]) {
    const forged = Buffer.concat([bytes.subarray(0, at + 4), bytes.subarray(at + 4 + 28)]);
    forged.writeUInt32BE(size, at);
    assert.throws(() => decodeFilter(forged), code('filter.malformed'), `${size}`);
  }
});

test('TEST-KEY-10 of a serial number all octets count, however many there are; a negative one is not covered', () => {
  const long = `41${'ab'.repeat(20)}` as Serial;
  const longer = `${long}01` as Serial;
  const filter = CarriedFilter.open(buildFilter(sourceOf([[ISSUER, [long, longer], new Set([long])]])));
  assert.deepEqual([filter.says(ISSUER, long), filter.says(ISSUER, longer)], [true, false]);
  assert.equal(filter.says(ISSUER, '-7f' as Serial), undefined);
});

test('the hash of an issuer is that of its SubjectPublicKeyInfo', () => {
  assert.equal(ISSUER, Buffer.from(sha256(Buffer.from('operational'))).toString('hex') as SpkiSha256);
});
