import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { toHex } from '@keystead/core/bytes';
import { certSha256, sha256 } from '@keystead/core/crypto';
import { parseBundle } from '@keystead/core/lifecycle';
import { passphrase, Rehearsal } from '../../ceremony/tests/rehearsal.ts';
import { openSealedKeystore } from '../../keystore/index.ts';
import { loadHierarchy, pinsPath } from '../hierarchy.ts';
import { type ImportOptions, importBundle, isImported } from '../import.ts';
import { initKeyd, KEYD_KEYS } from '../init.ts';

const KEYD = 'the passphrase of keyd';
let ours: Rehearsal;
let theirs: Rehearsal;
let rootSha256: string;
before(async () => {
  [ours, theirs] = await Promise.all([Rehearsal.make(), Rehearsal.make({ name: 'another policy' })]);
  [{ rootSha256 }] = await Promise.all([ours.run(), theirs.run()]);
});
after(() => {
  ours.remove();
  theirs.remove();
});

const importInto = (rehearsal: Rehearsal, options: ImportOptions = {}) =>
  importBundle(rehearsal.layout, passphrase(KEYD), rehearsal.clock, options);

/** A copy of our ceremony's files in which `change` may alter some. */
function copy(change: (file: (name: string) => string) => void): string {
  const dir = mkdtempSync(join(ours.dir, 'copy-'));
  cpSync(ours.layout.ceremony, dir, { recursive: true });
  change((name) => join(dir, name));
  return dir;
}

async function refused(code: string, field: string | RegExp, change: (file: (name: string) => string) => void) {
  await assert.rejects(importInto(ours, { from: copy(change) }), (error: Error & { code?: string; field?: string }) => {
    assert.equal(error.code, code, error.message);
    assert.match(
      error.field ?? '',
      typeof field === 'string' ? new RegExp(`^${field.replaceAll('.', '\\.')}$`) : field,
    );
    return true;
  });
  assert.equal(isImported(ours.layout), false);
  assert.equal(existsSync(ours.layout.trust), false);
}

const replaceIn = (path: string, from: string | RegExp, to: string) =>
  writeFileSync(path, readFileSync(path, 'utf8').replace(from, to));

test('keyd makes each of its keys, and its request is one that openssl verifies', async () => {
  const keystore = await openSealedKeystore(join(ours.layout.keyd, 'keystore.sealed'), passphrase(KEYD), ours.clock);
  assert.deepEqual(
    keystore.list().map(({ id, algorithm }) => [id, algorithm]),
    Object.entries(KEYD_KEYS).map(([id, { algorithm }]) => [id, algorithm]),
  );
  keystore.close();
  const request = JSON.parse(readFileSync(ours.requestPath, 'utf8')) as { certificateRequests: Record<string, string> };
  for (const pem of Object.values(request.certificateRequests)) {
    const answer = execFileSync('openssl', ['req', '-verify', '-noout', '-subject'], {
      input: pem,
      encoding: 'utf8',
      stdio: 'pipe',
    });
    assert.match(answer, /subject=CN = (ca-|evidence|root-crl)/);
  }
});

test('a request that exists is given again as it is, since a ceremony may be under way with it', async () => {
  const before = readFileSync(ours.requestPath);
  const again = await initKeyd(ours.layout, passphrase(KEYD), ours.clock, { origin: 'rehearsal.example/log' });
  assert.deepEqual(readFileSync(ours.requestPath), before);
  assert.equal(again.sha256, toHex(sha256(before)));
});

test('before the import keyd is not ready', () => {
  assert.equal(isImported(ours.layout), false);
  assert.throws(() => loadHierarchy(ours.layout), { code: 'keyd.not-ready' });
});

test('a bundle of the ceremony of another keyd is refused', async () => {
  await assert.rejects(importInto(ours, { from: theirs.layout.ceremony }), {
    code: 'bundle.foreign',
    field: 'requestSha256',
  });
});

test('a root other than the one that a witness vouches for is refused', async () => {
  await assert.rejects(importInto(ours, { rootSha256: 'ab'.repeat(32) }), {
    code: 'bundle.foreign',
    field: 'rootSha256',
  });
});

test('a bundle that was altered is refused', async () => {
  await refused('bundle.not-canonical', 'bundle', (file) => replaceIn(file('bundle.json'), /\n$/, ' \n'));
  await refused('bundle.altered', 'bundle.json', (file) => {
    const { certificates } = JSON.parse(readFileSync(file('bundle.json'), 'utf8')) as {
      certificates: Record<string, string>;
    };
    replaceIn(file('bundle.json'), JSON.stringify(certificates.server), JSON.stringify(certificates.operator));
  });
  await refused('bundle.malformed', 'certificates.server', (file) =>
    replaceIn(file('bundle.json'), /"server": "-----BEGIN CERTIFICATE-----/, '"server": "'),
  );
  await refused('bundle.malformed', 'bundle', (file) => writeFileSync(file('bundle.json'), '{'));
});

test('another policy than the one that the ceremony approved is refused', async () => {
  await refused('bundle.policy-differs', 'policy.json', (file) =>
    replaceIn(file('policy.json'), '"maxQuota": 100000', '"maxQuota": 900000'),
  );
  await refused('bundle.policy-differs', 'policy.json', (file) =>
    cpSync(join(theirs.layout.ceremony, 'policy.json'), file('policy.json')),
  );
});

test('a transcript that was altered, or signed by another ceremony, is refused', async () => {
  await refused('transcript.altered', 'line 2', (file) =>
    replaceIn(file('transcript.jsonl'), 'Grace Hopper', 'Grace Kelly'),
  );
  await refused('transcript.signature-invalid', 'transcript.sig', (file) =>
    cpSync(join(theirs.layout.ceremony, 'transcript.sig'), file('transcript.sig')),
  );
  await refused('transcript.signature-invalid', 'transcript-signer.pem', (file) =>
    cpSync(join(theirs.layout.ceremony, 'transcript-signer.pem'), file('transcript-signer.pem')),
  );
  await refused('transcript.signature-invalid', 'transcript-signer.pem', (file) =>
    cpSync(file('server.pem'), file('transcript-signer.pem')),
  );
});

test('a file that is missing is named', async () => {
  for (const name of ['bundle.json', 'policy.json', 'transcript.jsonl', 'transcript.sig', 'transcript-signer.pem']) {
    await refused('bundle.altered', name, (file) => rmSync(file(name)));
  }
});

test('the bundle of its own ceremony is taken over, and importing it again changes nothing', async () => {
  const pins = await importInto(ours, { rootSha256: (rootSha256.match(/.{4}/g) ?? []).join(' ').toUpperCase() });
  assert.equal(pins.certificates.root, rootSha256);
  assert.equal(pins.offline, true);
  assert.deepEqual(pins.witnesses, ['Ada Lovelace', 'Grace Hopper']);
  assert.deepEqual(readdirSync(ours.layout.trust).sort(), [
    ...['ca-chain.pem', 'evidence-signer.pem', 'log-cosign.vkey', 'log.vkey', 'manufacturing.pem', 'operational.pem'],
    ...['operator.pem', 'policy.json', 'root-crl-signer.pem', 'root.pem', 'server.pem', 'signing-root.pem'],
  ]);
  assert.deepEqual(readdirSync(ours.layout.crl).sort(), ['root.crl', 'signing-root.crl']);
  assert.deepEqual(await importInto(ours), pins);
});

test('an import that was cut short is finished by the next, without a second certificate for the evidence signer', async () => {
  const before = readFileSync(join(ours.layout.trust, 'evidence-signer.pem'));
  rmSync(pinsPath(ours.layout));
  rmSync(ours.layout.policy);
  await importInto(ours);
  assert.deepEqual(readFileSync(join(ours.layout.trust, 'evidence-signer.pem')), before);
  loadHierarchy(ours.layout);
});

test('openssl verifies the evidence signer under the server CA', () => {
  const trust = (name: string) => join(ours.layout.trust, name);
  const args = [
    'verify',
    '-x509_strict',
    '-CAfile',
    trust('root.pem'),
    '-untrusted',
    trust('server.pem'),
    trust('evidence-signer.pem'),
  ];
  assert.match(execFileSync('openssl', args, { encoding: 'utf8', stdio: 'pipe' }), /: OK/);
});

test('what keyd loads is what the ceremony made', () => {
  const { policy, certificates, evidenceSigner, pins } = loadHierarchy(ours.layout);
  const bundle = parseBundle(readFileSync(join(ours.layout.ceremony, 'bundle.json')));
  assert.deepEqual(certificates, bundle.certificates);
  assert.equal(policy.name, 'Keystead demonstration policy');
  assert.equal(certSha256(evidenceSigner), pins.certificates['evidence-signer']);
});

test('a second, different ceremony is not taken over', async () => {
  const out = join(ours.dir, 'second');
  await ours.run({ out, offline: join(ours.dir, 'second-safe') });
  await assert.rejects(importInto(ours, { from: out }), { code: 'bundle.already-imported' });
});

test('a policy or certificate that was changed in trust/ afterwards is refused when keyd loads', () => {
  const restoring = (path: string, change: () => void, expected: object) => {
    const good = readFileSync(path);
    change();
    assert.throws(() => loadHierarchy(ours.layout), expected);
    writeFileSync(path, good);
    loadHierarchy(ours.layout);
  };
  const { policy, trust } = ours.layout;
  restoring(policy, () => replaceIn(policy, '"maxQuota": 100000', '"maxQuota": 900000'), {
    code: 'bundle.policy-differs',
  });
  const server = join(trust, 'server.pem');
  restoring(server, () => cpSync(join(theirs.layout.ceremony, 'server.pem'), server), {
    code: 'bundle.altered',
    field: server,
  });
  restoring(server, () => rmSync(server), { code: 'bundle.altered', field: server });
  const pins = pinsPath(ours.layout);
  restoring(pins, () => writeFileSync(pins, '{}'), { code: 'keyd.not-ready', field: pins });
});

test('the wrong passphrase imports nothing', async () => {
  await assert.rejects(importBundle(theirs.layout, passphrase('not the passphrase'), theirs.clock), {
    code: 'keystore.wrong-passphrase',
  });
  assert.equal(isImported(theirs.layout), false);
});
