import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fromPem } from '@keystead/core/bytes';
import { isRehearsed, parseBundle } from '@keystead/core/lifecycle';
import { checkPath, formatName, readCertificate } from '@keystead/core/x509';
import { importBundle, isImported } from '../../keyd/import.ts';
import type { LaterOptions } from '../options.ts';
import { holdCrl } from '../revocation-lists.ts';
import { holdRollover } from '../rollover.ts';
import { runCeremony } from '../run.ts';
import type { CeremonyIo } from '../session.ts';
import { verifyCeremony } from '../verify.ts';
import { passphrase, Rehearsal } from './rehearsal.ts';

const printed: string[] = [];
const io: CeremonyIo = { print: (text) => void printed.push(text), confirm: async () => 'yes' };
let rehearsal: Rehearsal;
let out: string;
let safe: string;
before(async () => {
  rehearsal = await Rehearsal.make();
  out = join(rehearsal.dir, 'rehearsed');
  safe = join(rehearsal.dir, 'safe');
  const result = await runCeremony(rehearsal.options({ rehearsal: true, out, offline: safe }), io);
  assert.equal(result.rehearsal, true);
});
after(() => rehearsal.remove());

const certificate = (name: string) => {
  const [der] = fromPem('CERTIFICATE', readFileSync(join(out, name), 'latin1'));
  assert.ok(der);
  return readCertificate(der);
};
function later(previous: string, to: string, more: Partial<LaterOptions> = {}): LaterOptions {
  const { request: _request, policy: _policy, ...common } = rehearsal.options({ out: join(rehearsal.dir, to) });
  return { ...common, previous, ...more };
}

test('every file, heading and subject of a rehearsal says what it is', () => {
  const names = readdirSync(out);
  assert.ok(names.length >= 14);
  for (const name of names) assert.match(name, /^REHEARSAL-/);
  const headings = readFileSync(join(out, 'REHEARSAL-script.md'), 'utf8').match(/^#.*$/gm) ?? [];
  assert.equal(headings.length, 13);
  for (const heading of headings) assert.match(heading, /^##? REHEARSAL/);
  for (const name of names.filter((one) => one.endsWith('.pem'))) {
    const { subject, der } = certificate(name);
    assert.match(formatName(subject), /REHEARSAL/);
    assert.equal(isRehearsed(der), true);
  }
  for (const line of printed.filter((text) => /Step \d/.test(text))) assert.match(line, /^\nREHEARSAL\. Step/);
});

test('the keys of a rehearsal are destroyed', () => {
  assert.deepEqual(existsSync(safe) ? readdirSync(safe) : [], []);
  assert.match(printed.join('\n'), /its keys are destroyed/);
});

test('no verifier takes a rehearsed certificate: its critical mark is unknown to openssl, and refused by ours', () => {
  const verify = () =>
    execFileSync('openssl', ['verify', '-CAfile', join(out, 'REHEARSAL-root.pem'), join(out, 'REHEARSAL-server.pem')], {
      encoding: 'utf8',
      stdio: 'pipe',
    });
  assert.throws(verify, /unhandled critical extension/);
  const root = certificate('REHEARSAL-root.pem').der;
  const path = checkPath(certificate('REHEARSAL-server.pem').der, [], [root], { now: rehearsal.clock.now() });
  assert.equal(path.ok, false);
});

test('keyd refuses a rehearsed bundle, also when somebody has taken the mark out of the names of its files', async () => {
  const bare = join(rehearsal.dir, 'bare');
  mkdirSync(bare);
  for (const name of readdirSync(out)) cpSync(join(out, name), join(bare, name.replace('REHEARSAL-', '')));
  const take = (from: string) =>
    importBundle(rehearsal.layout, passphrase('the passphrase of keyd'), rehearsal.clock, { from });
  await assert.rejects(take(out), { code: 'bundle.rehearsal', field: 'rehearsal' });
  await assert.rejects(take(bare), { code: 'bundle.altered' });
  // And when the bundle itself lies, the signed transcript does not.
  const path = join(bare, 'bundle.json');
  writeFileSync(path, readFileSync(path, 'utf8').replace('"rehearsal": true', '"rehearsal": false'));
  await assert.rejects(take(bare), { code: 'bundle.altered' });
  assert.equal(isImported(rehearsal.layout), false);
});

test('the auditor is told that it was a rehearsal', () => {
  const findings = verifyCeremony(out);
  assert.deepEqual(findings[0], {
    check: 'rehearsal',
    verdict: 'note',
    evidence: 'REHEARSAL, NOT FOR USE: its keys are destroyed, no certificate of it is valid',
  });
  assert.deepEqual(
    findings.filter(({ verdict }) => verdict === 'failed'),
    [],
  );
});

test('a ceremony in earnest refuses what was rehearsed, and runs where a rehearsal was held', async () => {
  await assert.rejects(holdCrl(later(out, 'from-rehearsal'), io), {
    code: 'ceremony.rehearsal-input',
    field: 'previous',
  });
  assert.equal(existsSync(join(rehearsal.dir, 'from-rehearsal')), false);
  await rehearsal.run({ offline: safe });
  assert.deepEqual(readdirSync(safe).sort(), ['root.sealed', 'signing-root.sealed']);
});

test('a later ceremony is rehearsed with throwaway roots: those in earnest stay closed', async () => {
  // Nobody needs the passphrase of the roots for it, nor their files.
  const offline = join(rehearsal.dir, 'nothing');
  const more = { rehearsal: true, offline, passphrase: passphrase('a passphrase for today') };
  const { ceremony } = rehearsal.layout;
  await holdRollover({ ...later(ceremony, 'rehearsed-rollover', more), root: 'root' }, io);
  const dir = join(rehearsal.dir, 'rehearsed-rollover');
  const bundle = parseBundle(readFileSync(join(dir, 'REHEARSAL-bundle.json')));
  assert.deepEqual([bundle.rehearsal, bundle.number, bundle.rollovers.length], [true, 2, 1]);
  assert.deepEqual(
    verifyCeremony(dir).filter(({ verdict }) => verdict === 'failed'),
    [],
  );
  assert.deepEqual(existsSync(offline) ? readdirSync(offline) : [], []);
});
