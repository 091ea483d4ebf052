import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import type { DerCertificate } from '@keystead/core/bytes';
import fc from 'fast-check';
import { parse } from 'yaml';
import { decommissionEvidence } from '../documents.ts';

/** A foreign reader, of YAML 1.1: PyYAML. */
const READER = [
  'python3',
  '-c',
  'import json, sys, yaml\nprint(json.dumps([yaml.safe_load(one) for one in json.load(sys.stdin)], default=repr))',
] as const;

/** As it reads each of these documents. */
function theirs(documents: readonly string[]): unknown[] {
  const [command, ...args] = READER;
  return JSON.parse(execFileSync(command, args, { input: JSON.stringify(documents), encoding: 'utf8' })) as unknown[];
}

const document = (reason: string, wiped: readonly string[]): string =>
  decommissionEvidence(
    { deviceId: 'KS-0001', reason, operator: 'ada', wiped, revoked: [], requestId: 'r-1', date: new Date(0) },
    {
      software: 'keystead 0.1.0',
      policySha256: '00'.repeat(32),
      logOrigin: 'example/log',
      evidenceSigner: Uint8Array.of(0x30, 0) as DerCertificate,
    },
  );

test('two readers of YAML read the same in a document, whatever stands in it', () => {
  const text = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.string({ unit: 'grapheme' }),
    fc.constantFrom(
      'no',
      '1e3',
      '0x10',
      '2026-01-01',
      '~',
      'null',
      '- a',
      'a: b',
      '# c',
      '"',
      "'",
      '\\',
      'a\nb',
      '\u0085',
      '\u2028',
      '\u007f',
      '\ufeff',
      '\ufffe',
      ' x ',
      '\t',
    ),
  );
  const samples = fc.sample(fc.tuple(text, fc.array(text, { maxLength: 3 })), 400);
  const documents = samples.map(([reason, wiped]) => document(reason, wiped));
  const read = theirs(documents) as { reason: string; wiped_as_reported: string[] }[];
  documents.forEach((one, index) => {
    const [reason, wiped] = samples[index] ?? ['', []];
    assert.deepEqual(read[index], parse(one));
    assert.deepEqual([read[index]?.reason, read[index]?.wiped_as_reported], [reason, wiped]);
  });
});

test('a signed document begins with a letter, so that it is never taken for DER', () => {
  assert.match(document('1', []), /^record: "/);
});
