import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SimulatedClock } from '@keystead/core/clock';
import { KeysteadError } from '@keystead/core/errors';
import { leafHash } from '@keystead/core/log';
import fc from 'fast-check';
import { type AuditEvent, appendAudit, entryBytes, parseEntry } from '../index.ts';
import { event, MemoryLog } from './world.ts';

const code =
  (expected: string) =>
  (error: unknown): boolean =>
    error instanceof KeysteadError && error.code === expected;
const start = new Date('2026-03-01T12:00:00.000Z');

test('each entry has the next number, a new id, the time and the canonical bytes of the event (TEST-KEY-26)', () => {
  const log = new MemoryLog();
  const clock = new SimulatedClock(start);
  const first = appendAudit(log, event(0), clock);
  clock.advance(1.5);
  const second = appendAudit(log, event(1, { detail: undefined }), clock);
  assert.deepEqual([first.seq, second.seq], [0, 1]);
  assert.match(first.id, /^[0-9a-f]{32}$/);
  assert.notEqual(first.id, second.id);
  assert.equal(second.time, '2026-03-01T12:00:01.500Z');
  const [row] = log.rows;
  assert.equal(
    Buffer.from(row?.bytes ?? []).toString(),
    `{"actor":{"id":"KS-0","kind":"device"},"detail":{"profile":"ldevid"},"id":"${first.id}","outcome":"done",` +
      '"requestId":"request-0","seq":0,"subject":{"deviceId":"KS-0","serial":"00"},"time":"2026-03-01T12:00:00.000Z",' +
      '"type":"certificate.issued","v":1}',
  );
  assert.deepEqual(row?.leafHash, leafHash(row?.bytes ?? new Uint8Array()));
  assert.deepEqual(parseEntry(row?.bytes ?? new Uint8Array()), first);
});

test('a clock that jumped back records nothing, and so lets nothing happen', () => {
  const log = new MemoryLog();
  const clock = new SimulatedClock(start);
  appendAudit(log, event(0), clock);
  clock.advance(-3);
  assert.throws(() => appendAudit(log, event(1), clock), code('clock.went-back'));
  assert.equal(log.rows.length, 1);
  clock.advance(10);
  assert.equal(appendAudit(log, event(1), clock).seq, 1);
});

test('a small correction of the clock repeats the last time instead of going back', () => {
  const log = new MemoryLog();
  const clock = new SimulatedClock(start);
  appendAudit(log, event(0), clock);
  clock.advance(-1.9);
  assert.equal(appendAudit(log, event(1), clock).time, '2026-03-01T12:00:00.000Z');
});

test('an event that the log cannot carry is refused and nothing is appended', () => {
  const log = new MemoryLog();
  const clock = new SimulatedClock(start);
  const long = event(0, { detail: { text: 'x'.repeat(70_000) } });
  assert.throws(() => appendAudit(log, long, clock), code('log.entry-too-large'));
  assert.throws(() => appendAudit(log, event(0, { detail: { n: Number.NaN } }), clock), code('log.entry-malformed'));
  assert.throws(() => appendAudit(log, event(0, { requestId: '\ud800' }), clock), code('log.entry-malformed'));
  const named = event(0, { detail: Object.fromEntries([['__proto__', 'x']]) });
  assert.throws(() => appendAudit(log, named, clock), code('log.entry-malformed'));
  assert.throws(() => appendAudit(log, event(0, { type: 'Not a type' }), clock), code('log.entry-malformed'));
  assert.equal(log.rows.length, 0);
});

test('every event that can be appended reads back as it was', () => {
  const name = fc.string({ unit: 'binary' });
  const member = fc.oneof(
    fc.stringMatching(/^[A-Za-z][A-Za-z0-9_.-]{0,20}$/),
    fc.constantFrom('constructor', 'toString'),
  );
  const events: fc.Arbitrary<AuditEvent> = fc.record({
    type: fc.constantFrom('certificate.issued', 'request.refused', 'audit.read-back'),
    actor: fc.record(
      { kind: fc.constantFrom('operator', 'device', 'station', 'system', 'anonymous'), id: name },
      { noNullPrototype: true },
    ),
    requestId: name,
    outcome: fc.constantFrom('done', 'refused'),
    subject: fc.dictionary(member, fc.oneof(name, fc.integer()), { noNullPrototype: true }),
    detail: fc.dictionary(member, fc.oneof(name, fc.boolean(), fc.constant(null)), { noNullPrototype: true }),
  });
  fc.assert(
    fc.property(events, (one) => {
      const log = new MemoryLog();
      const entry = appendAudit(log, one, new SimulatedClock(start));
      assert.deepEqual(parseEntry(log.rows[0]?.bytes ?? new Uint8Array()), entry);
    }),
  );
});

test('bytes that are no canonical entry are refused with a code', () => {
  const good = appendAudit(new MemoryLog(), event(0), new SimulatedClock(start));
  const text = Buffer.from(entryBytes(good)).toString();
  const bad = ['', '{}', 'null', '[]', '1', ` ${text}`, `${text}\n`, text.replace('"v":1', '"v":2')];
  bad.push(
    text.replace('{"actor"', '{"more":1,"actor"'),
    text.replace('.000Z', 'Z'),
    text.replace('"seq":0', '"seq":-1'),
  );
  bad.push(text.replace('"outcome":"done"', '"outcome":"perhaps"'), text.replace('"v":1', '"v":1,"v":1'));
  for (const one of bad) assert.throws(() => parseEntry(Buffer.from(one)), code('log.entry-malformed'), one);
  fc.assert(
    fc.property(fc.uint8Array(), (bytes) => {
      assert.throws(() => parseEntry(bytes), code('log.entry-malformed'));
    }),
  );
});
