import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { toHex, toWords } from '@keystead/core/bytes';
import { sha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { parseBundle, parseRenewal, readChain } from '@keystead/core/lifecycle';
import fc from 'fast-check';
import { fingerprintRows, readFingerprint } from '../fingerprint.ts';
import { holdCrl } from '../revocation-lists.ts';
import { formatFindings, verifyCeremony } from '../verify.ts';
import { Rehearsal } from './rehearsal.ts';

const BIN = fileURLToPath(new URL('../../bin/keystead.mjs', import.meta.url));
let ceremony: Rehearsal;
let rootSha256: string;
before(async () => {
  ceremony = await Rehearsal.make();
  ({ rootSha256 } = await ceremony.run());
});
after(() => ceremony.remove());

const keystead = (...args: string[]) => spawnSync(process.execPath, [BIN, ...args], { encoding: 'utf8' });

/** The names of the checks that fail on a copy of the founding in which something is changed. */
function failing(change: (file: (name: string) => string) => void, options = {}): string[] {
  const dir = mkdtempSync(join(ceremony.dir, 'copy-'));
  cpSync(ceremony.layout.ceremony, dir, { recursive: true });
  change((name) => join(dir, name));
  return verifyCeremony(dir, options)
    .filter(({ verdict }) => verdict === 'failed')
    .map(({ check }) => check);
}

const flip = (path: string) => {
  const bytes = readFileSync(path);
  bytes[bytes.length - 4] = (bytes[bytes.length - 4] ?? 0) ^ 1;
  writeFileSync(path, bytes);
};

test('TEST-KEY-02 what a ceremony left is proven from the files, and each change of one is found', () => {
  assert.deepEqual(
    failing(() => {}),
    [],
  );
  for (const name of ['policy.json', 'transcript.jsonl', 'transcript.sig', 'transcript-signer.pem', 'bundle.json']) {
    assert.deepEqual(
      failing((file) => flip(file(name))),
      ['transcript, bundle and policy'],
      name,
    );
  }
  for (const name of ['root.pem', 'server.pem', 'root.crl', 'request.json']) {
    assert.deepEqual(
      failing((file) => flip(file(name))),
      ['files'],
      name,
    );
  }
  assert.deepEqual(
    failing((file) => flip(file('script.md'))),
    ['files', 'script'],
  );
});

test('a root that nobody vouches for is found, in hex and in words', () => {
  assert.deepEqual(
    failing(() => {}, { rootSha256 }),
    [],
  );
  assert.deepEqual(
    failing(() => {}, { rootSha256: 'ab'.repeat(32) }),
    ['root'],
  );
});

test('the ceremony before is verified with it, and another in its place is found', async () => {
  const next = join(ceremony.dir, 'next');
  await holdCrl(ceremony.later(ceremony.layout.ceremony, 'next'), ceremony.io);
  const failed = (previous: string) => verifyCeremony(next, { previous }).filter(({ verdict }) => verdict === 'failed');
  assert.deepEqual(failed(ceremony.layout.ceremony), []);
  assert.deepEqual(
    failed(next).map(({ check }) => check),
    ['the ceremony before'],
  );
});

test('keystead ceremony verify prints what was proven and says by its exit code when something was not', () => {
  const good = keystead(
    'ceremony',
    'verify',
    ceremony.layout.ceremony,
    '--root',
    toWords(Buffer.from(rootSha256, 'hex')).join(' '),
  );
  assert.equal(good.status, 0, good.stderr);
  assert.match(good.stdout, /\nPROVEN\n$/);
  assert.equal(good.stdout, formatFindings(verifyCeremony(ceremony.layout.ceremony, { rootSha256 })));
  const bad = keystead('ceremony', 'verify', ceremony.dir, '--json');
  assert.equal(bad.status, 1, bad.stderr);
  assert.equal((JSON.parse(bad.stdout) as { verdict: string }[])[0]?.verdict, 'failed');
});

test('keystead fingerprint prints what the ceremony shows, and compares with what is read out', () => {
  const request = ceremony.requestPath;
  const hash = toHex(sha256(readFileSync(request)));
  const shown = keystead('fingerprint', request);
  assert.equal(shown.status, 0, shown.stderr);
  assert.ok(shown.stdout.includes(fingerprintRows(hash, '  ')));
  assert.ok(ceremony.printed.join('\n').includes(fingerprintRows(hash, '     ')));
  const root = keystead('fingerprint', join(ceremony.layout.ceremony, 'root.pem'));
  assert.ok(root.stdout.includes(fingerprintRows(rootSha256, '  ')));
  const words = toWords(Buffer.from(hash, 'hex'));
  assert.equal(keystead('fingerprint', request, '--expect', words.join(' ')).status, 0);
  const other = keystead('fingerprint', request, '--expect', words.toSpliced(0, 1, 'optic').join(' '));
  assert.equal(other.status, 3);
  assert.match(other.stderr, /fingerprint\.differs/);
  const short = keystead('fingerprint', request, '--expect', words.slice(2).join(' '));
  assert.match(short.stderr, /30 words/);
});

test('a fingerprint is read in every way in which it is shown', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (bytes) => {
      const hex = toHex(bytes);
      const rows = fingerprintRows(hex);
      const words = rows.split('\n').map((row) => row.slice(9));
      const digits = rows.split('\n').map((row) => row.slice(0, 9));
      for (const text of [hex, hex.toUpperCase(), words.join('\n'), digits.join(' '), toWords(bytes).join(' ')]) {
        assert.equal(readFingerprint(text), hex);
      }
      assert.equal(rows.split('\n').length, 8);
    }),
  );
});

test('no bytes make the readers of outside files fail but by a KeysteadError', () => {
  const bundle = readFileSync(join(ceremony.layout.ceremony, 'bundle.json'));
  const mutated = fc
    .record({ at: fc.nat(bundle.length - 1), bytes: fc.uint8Array({ maxLength: 8 }) })
    .map(({ at, bytes }) => Buffer.concat([bundle.subarray(0, at), bytes, bundle.subarray(at + bytes.length)]));
  const readers = [parseBundle, readChain, (bytes: Uint8Array) => parseRenewal(bytes, 'ab'.repeat(32))];
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 300 }), mutated), (bytes) => {
      for (const read of readers) {
        try {
          read(bytes);
        } catch (error) {
          assert.ok(error instanceof KeysteadError, String(error));
        }
      }
    }),
    { numRuns: 300 },
  );
});
