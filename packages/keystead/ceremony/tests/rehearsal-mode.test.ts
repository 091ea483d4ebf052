import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { certificateOf, readChain } from '@keystead/core/lifecycle';
import { checkPath, formatName, readCertificate } from '@keystead/core/x509';
import { importBundle, isImported } from '../../keyd/import.ts';
import { requestRenewal } from '../../keyd/renewal.ts';
import { holdIntermediate } from '../intermediate.ts';
import { holdCrl } from '../revocation-lists.ts';
import { holdRollover } from '../rollover.ts';
import { formatFindings, verifyCeremony } from '../verify.ts';
import { passphrase, Rehearsal } from './rehearsal.ts';

let ceremony: Rehearsal;
let rehearsed: string;
const KEYD = 'the passphrase of keyd';
before(async () => {
  ceremony = await Rehearsal.make();
  rehearsed = join(ceremony.dir, 'rehearsed');
  await ceremony.run({ rehearsal: true, out: rehearsed });
});
after(() => ceremony.remove());

const certificate = (dir: string, name: string) =>
  certificateOf(readFileSync(join(dir, `REHEARSAL-${name}.pem`), 'latin1'), name);

test('every file, heading and subject of a rehearsal says what it is, and so does its transcript', () => {
  const names = readdirSync(rehearsed);
  assert.ok(names.length > 10);
  assert.deepEqual(
    names.filter((name) => !name.startsWith('REHEARSAL-')),
    [],
  );
  const script = readFileSync(join(rehearsed, 'REHEARSAL-script.md'), 'utf8');
  const headings = script.split('\n').filter((line) => /^##? /.test(line) && !line.includes('SHA-256'));
  assert.ok(headings.length > 8 && headings.every((line) => line.includes('REHEARSAL')));
  const shown = ceremony.printed.filter((text) => /Step \d+ of/.test(text));
  assert.ok(shown.length > 8 && shown.every((text) => text.includes('REHEARSAL. Step')));
  for (const role of [
    'root',
    'signing-root',
    'manufacturing',
    'operational',
    'server',
    'operator',
    'transcript-signer',
  ]) {
    const name = formatName(readCertificate(certificate(rehearsed, role)).subject);
    assert.match(name, /^CN=REHEARSAL .*O=REHEARSAL\\, NOT FOR USE$/);
  }
  const [begin] = readChain(readFileSync(join(rehearsed, 'REHEARSAL-transcript.jsonl')));
  assert.equal(begin?.detail.rehearsal, true);
});

test('its keys are destroyed: nothing is left in the safe', () => {
  assert.deepEqual(existsSync(ceremony.layout.offline) ? readdirSync(ceremony.layout.offline) : [], []);
});

test('no verifier takes its certificates: openssl and our own path check stop at the critical mark', () => {
  const file = (name: string) => join(rehearsed, `REHEARSAL-${name}.pem`);
  const run = spawnSync('openssl', ['verify', '-CAfile', file('root'), file('server')], { encoding: 'utf8' });
  assert.notEqual(run.status, 0);
  assert.match(run.stdout + run.stderr, /unhandled critical extension/);
  assert.match(
    execFileSync('openssl', ['x509', '-in', file('root'), '-noout', '-text'], { encoding: 'utf8' }),
    /REHEARSAL, NOT FOR USE/,
  );
  const root = certificate(rehearsed, 'root');
  const path = checkPath(certificate(rehearsed, 'server'), [], [root], { now: ceremony.clock.now() });
  assert.equal(path.ok, false);
  assert.equal(path.ok ? '' : path.rule, 'unknown-critical');
});

test('an auditor verifies it as a rehearsal', () => {
  const findings = verifyCeremony(rehearsed);
  assert.deepEqual(
    findings.filter(({ verdict }) => verdict === 'failed'),
    [],
  );
  assert.match(formatFindings(findings), /REHEARSAL, NOT FOR USE/);
});

test('keyd does not import it, also when its files are renamed, and no ceremony in earnest begins from it', async () => {
  const take = (from: string) => importBundle(ceremony.layout, passphrase(KEYD), ceremony.clock, { from });
  await assert.rejects(take(rehearsed), { code: 'bundle.rehearsal', field: 'bundle.rehearsal' });
  const renamed = join(ceremony.dir, 'renamed');
  execFileSync('mkdir', [renamed]);
  for (const name of readdirSync(rehearsed)) {
    writeFileSync(join(renamed, name.replace('REHEARSAL-', '')), readFileSync(join(rehearsed, name)));
  }
  await assert.rejects(take(renamed), { code: 'bundle.altered', field: 'bundle.json' });
  const bundle = join(renamed, 'bundle.json');
  writeFileSync(bundle, readFileSync(bundle, 'utf8').replace('"rehearsal": true', '"rehearsal": false'));
  await assert.rejects(take(renamed), { code: 'bundle.altered', field: 'bundle.json' });
  assert.equal(isImported(ceremony.layout), false);
  await assert.rejects(holdCrl(ceremony.later(rehearsed, 'earnest'), ceremony.io), {
    code: 'ceremony.rehearsal-input',
    field: 'previous',
  });
  assert.equal(existsSync(join(ceremony.dir, 'earnest')), false);
});

test('every later ceremony is rehearsed with throwaway roots, while those in earnest stay closed', async () => {
  await ceremony.run();
  const founding = ceremony.layout.ceremony;
  await importBundle(ceremony.layout, passphrase(KEYD), ceremony.clock);
  const { path } = await requestRenewal(ceremony.layout, passphrase(KEYD), ceremony.clock, {
    ca: 'server',
    key: 'successor',
  });
  const request = readFileSync(path);
  const safe = join(ceremony.dir, 'empty-safe');
  const later = (name: string) => ({ ...ceremony.later(founding, name), rehearsal: true, offline: safe });
  await holdCrl({ ...later('r-crl'), revoke: { ca: 'server', reason: 'superseded' } }, ceremony.io);
  await holdIntermediate({ ...later('r-intermediate'), request, revokeOld: 'superseded' }, ceremony.io);
  await holdRollover({ ...later('r-rollover'), root: 'root' }, ceremony.io);
  for (const name of ['r-crl', 'r-intermediate', 'r-rollover']) {
    const dir = join(ceremony.dir, name);
    const findings = verifyCeremony(dir, { previous: founding });
    assert.deepEqual(
      findings.filter(({ verdict }) => verdict === 'failed'),
      [],
      name,
    );
    assert.equal(
      readCertificate(certificate(dir, 'root')).subject.rdns.some(({ value }) => value.startsWith('REHEARSAL')),
      true,
    );
  }
  assert.deepEqual(existsSync(safe) ? readdirSync(safe) : [], []);
});
