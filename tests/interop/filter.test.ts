import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { Serial } from '@keystead/core/bytes';
import { buildDelta, buildFilter } from '@keystead/core/trust';
import { issuerOf, serialOf, sourceOf } from '../../packages/core/trust/tests/filter-source.ts';

const READER = fileURLToPath(new URL('filter_reader.py', import.meta.url));
const directory = mkdtempSync(join(tmpdir(), 'keystead-filter-'));
after(() => rmSync(directory, { recursive: true, force: true }));

function read(files: readonly Uint8Array[], lines: readonly string[]): string[] {
  const paths = files.map((bytes, index) => {
    const path = join(directory, `${index}.ksrf`);
    writeFileSync(path, bytes);
    return path;
  });
  const { status, stdout, stderr } = spawnSync('python3', [READER, ...paths], {
    input: lines.map((line) => `${line}\n`).join(''),
    encoding: 'utf8',
  });
  assert.equal(status, 0, stderr);
  return stdout.trim().split('\n');
}

test('TEST-KEY-10 the reader in Python says what is not known of a factory yet, and nothing of what had ended', () => {
  const issuer = issuerOf('factory');
  const through = new Date(Date.UTC(2026, 11, 20));
  const serials = [serialOf('a'), serialOf('b')];
  const filter = buildFilter(sourceOf([[issuer, serials, new Set(serials.slice(0, 1)), through]]));
  const begins = through.getTime() / 1000;
  const asked = serials.flatMap((serial) => [0, 1].map((later) => `${issuer} ${serial} ${begins + later}`));
  assert.deepEqual(read([filter], asked), ['1', '-', '0', '-']);
  const date = Date.UTC(2027, 0, 1) / 1000;
  const ending = [0, 1].map((later) => `${issuer} ${serials[0]} ${begins} ${date + later}`);
  assert.deepEqual(read([filter], ending), ['-', '1']);
});

test('TEST-KEY-10 a reader in Python, written by the page alone, reads a filter and its deltas in every form [python3: Filter look-up]', () => {
  const [many, few, none, most] = ['many', 'few', 'none', 'most'].map(issuerOf);
  assert.ok(many && few && none && most);
  const serials = Array.from({ length: 6000 }, (_, index) => serialOf(`${index}`));
  const revoked = new Map([
    [many, new Set<Serial>(serials.slice(0, 600))],
    [few, new Set<Serial>(serials.slice(0, 4))],
    [none, new Set<Serial>()],
    [most, new Set<Serial>(serials.slice(0, 5000))],
  ]);
  const source = (day: number) =>
    sourceOf(
      [...revoked].map(([issuer, set]) => [issuer, serials, set] as const),
      day,
    );
  const lines = [...revoked.keys()].flatMap((issuer) => serials.map((serial) => `${issuer} ${serial}`));
  const expected = () => [...revoked].flatMap(([, set]) => serials.map((serial) => (set.has(serial) ? '1' : '0')));
  const base = buildFilter(source(1));
  assert.deepEqual(read([base], lines), expected());
  for (const set of revoked.values()) for (const serial of serials.slice(5500, 5600)) set.add(serial);
  const delta = buildDelta(source(2), base);
  assert.deepEqual(read([base, delta], lines), expected());
  assert.deepEqual(read([base], [`${issuerOf('another')} ${serials[0]}`]), ['-']);
});
