import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { fromHex, toWords } from '@keystead/core/bytes';
import { loadHierarchy } from '../../keyd/hierarchy.ts';
import { holdIntermediate } from '../intermediate.ts';
import type { CeremonyResult } from '../options.ts';
import { Rehearsal } from './rehearsal.ts';

const BIN = fileURLToPath(new URL('../../bin/keystead.mjs', import.meta.url));
let rehearsal: Rehearsal;
let result: CeremonyResult;
let secret: string;
before(async () => {
  rehearsal = await Rehearsal.make();
  result = await rehearsal.run();
  secret = join(rehearsal.dir, 'keyd-passphrase');
  writeFileSync(secret, 'the passphrase of keyd', { mode: 0o600 });
});
after(() => rehearsal.remove());

const keystead = (...args: string[]) => spawnSync(process.execPath, [BIN, ...args], { encoding: 'utf8', input: '' });
const out = (name = ''): string => join(rehearsal.layout.ceremony, name);
const words = (hex: string): string => toWords(fromHex(hex)).join(' ');
const data = (): string[] => ['--data', rehearsal.layout.data, '--passphrase-file', secret];

test('`keystead fingerprint` shows what openssl shows of a certificate and sha256sum of a file, and compares what was read out', () => {
  const openssl = execFileSync('openssl', ['x509', '-in', out('root.pem'), '-noout', '-fingerprint', '-sha256'], {
    encoding: 'utf8',
  });
  const hex = openssl.replace(/^.*=|[:\s]/g, '').toLowerCase();
  assert.equal(hex, result.rootSha256);
  const run = keystead('fingerprint', out('root.pem'), '--is', words(hex));
  assert.equal(run.status, 0, run.stderr);
  const shown = run.stdout.match(/^[0-9a-f]{4} [0-9a-f]{4}/gm) ?? [];
  assert.equal(shown.join('').replaceAll(' ', ''), hex);
  const [sum = ''] = execFileSync('sha256sum', [out('policy.json')], { encoding: 'utf8' }).split(' ');
  const other = keystead('fingerprint', out('policy.json'), '--is', words(hex));
  assert.equal(other.status, 3);
  assert.ok(other.stdout.startsWith(`${sum.slice(0, 4)} ${sum.slice(4, 8)} `));
  assert.match(other.stderr, /fingerprint\.differs/);
});

test('`keystead ceremony verify` ends with 0 for what is proven and 1 for what is not', () => {
  const good = keystead('ceremony', 'verify', out(), '--root', words(result.rootSha256));
  assert.equal(good.status, 0, good.stdout + good.stderr);
  assert.match(good.stdout, /\nPROVEN\n$/);
  const bad = keystead('ceremony', 'verify', out(), '--root', 'ab'.repeat(32));
  assert.equal(bad.status, 1);
  assert.match(bad.stdout, /^failed +root /m);
});

test('`keystead hierarchy` imports a founding by the words on the paper, asks for a certificate, and imports that', async () => {
  const { layout } = rehearsal;
  const founded = keystead('hierarchy', 'import', out(), ...data(), '--root', words(result.rootSha256));
  assert.equal(founded.status, 0, founded.stderr);
  assert.match(founded.stdout, /^ceremony 1 is taken over/);

  const request = join(rehearsal.dir, 'later.json');
  const asked = keystead('hierarchy', 'request', 'server', ...data(), '--out', request);
  assert.equal(asked.status, 0, asked.stderr);
  const { request: _request, policy: _policy, ...common } = rehearsal.options({ out: join(rehearsal.dir, 'later') });
  await holdIntermediate(
    { ...common, previous: out(), request: readFileSync(request) },
    { print() {}, confirm: async () => 'yes' },
  );
  const before = loadHierarchy(layout).certificates.server;
  const taken = keystead('hierarchy', 'import', common.out, ...data());
  assert.equal(taken.status, 0, taken.stderr);
  assert.match(taken.stdout, /^ceremony 2 is taken over/);
  assert.notDeepEqual(loadHierarchy(layout).certificates.server, before);
});
