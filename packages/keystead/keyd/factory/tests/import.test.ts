import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { toBase64, toPem } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import { factoryCaProfile, factoryProfile, formatPolicy, profileOf } from '@keystead/core/lifecycle';
import { readCertificate } from '@keystead/core/x509';
import { initFactoryNode } from '../init.ts';
import { nodePinsPath, readNodePins } from '../pins.ts';
import { type CommissionWanted, FakeHeadquarters, issue, newSigner, SERVER_NAMES } from './headquarters.ts';
import { NodeBed, passphrase } from './node-bed.ts';

const DAY = 86_400;

let bed: NodeBed;
before(async () => {
  bed = await NodeBed.asking();
});
after(() => bed.remove());

const refused = async (text: string, code: string, field: RegExp, root?: string): Promise<void> => {
  const before = existsSync(bed.layout.keyd) ? readdirSync(bed.layout.keyd).sort() : [];
  const pins = readNodePins(bed.layout);
  await assert.rejects(
    bed.import(text, root),
    (error) => error instanceof KeysteadError && error.code === code && field.test(`${error.field}: ${error.seen}`),
    `${code} ${field}`,
  );
  assert.deepEqual(readNodePins(bed.layout), pins);
  assert.deepEqual(readdirSync(bed.layout.keyd).sort(), before);
};

test('init can be called again: keys and request stay what they are, and another name is refused', async () => {
  const again = await initFactoryNode(bed.layout, passphrase(), bed.clock, { name: 'berlin-1' });
  assert.deepEqual(again.request.factory, 'berlin-1');
  assert.equal(readFileSync(again.path).toString(), Buffer.from(bed.request).toString());
  assert.equal(again.request.custody, 'sealed');
  await assert.rejects(
    initFactoryNode(bed.layout, passphrase(), bed.clock, { name: 'lyon-2' }),
    (error) => error instanceof KeysteadError && error.code === 'factory.exists',
  );
  for (const name of ['headquarters', 'Berlin', '', '../x', '-a', 'a'.repeat(33)]) {
    await assert.rejects(
      initFactoryNode(bed.layout, passphrase(), bed.clock, { name }),
      (error) => error instanceof KeysteadError && error.code === 'config.malformed',
    );
  }
});

test('keyd does not start before a commission', async () => {
  await assert.rejects(bed.start(), (error) => error instanceof KeysteadError && error.code === 'keyd.not-ready');
});

test('a commission that is for another node, another request, or by another root is refused (TEST-KEY-17)', async () => {
  const good = await bed.commission();
  await refused(good, 'factory.commission-untrusted', /certificates.root/, '0'.repeat(64));
  await refused(await bed.commission({ factory: 'lyon-2' }), 'factory.commission-foreign', /factory: lyon-2/);
  await refused(await bed.commission({ requestSha256: '0'.repeat(64) }), 'factory.commission-foreign', /requestSha256/);
  await refused(await bed.commission({ act: 'renew' }), 'factory.commission-foreign', /act: renew/);
  const other = await FakeHeadquarters.make(bed.clock);
  await refused(await other.commission(bed.request), 'factory.commission-untrusted', /certificates.root/);
  // Its own root, and the CAs of another house below.
  const { root } = bed.headquarters.cas;
  const mixed = await other.commission(bed.request, { certificates: { root: toPem('CERTIFICATE', root.certificate) } });
  await refused(mixed, 'factory.commission-untrusted', /certificates.manufacturing/);
});

test('a commission for keys of another node is refused, even when it was the answer to a request with our name', async () => {
  const stranger = await NodeBed.asking();
  try {
    const text = await bed.headquarters.commission(stranger.request);
    await refused(text, 'factory.commission-foreign', /requestSha256/);
  } finally {
    await stranger.remove();
  }
});

test('nobody but the evidence signer of headquarters can sign a commission', async () => {
  const { headquarters } = bed;
  const forger = newSigner();
  await refused(await bed.commission({ signer: forger }), 'factory.signature-invalid', /signature/);
  const forged = async (certificate: Uint8Array): Promise<CommissionWanted> => ({
    signer: forger,
    certificates: { 'evidence-signer': toPem('CERTIFICATE', certificate) },
  });
  // Who has a certificate for a host, an operator's, or that of another factory's evidence signer.
  const host = await headquarters.certificate('tls-server', { hosts: ['rig.example'] }, forger);
  await refused(
    await bed.commission(await forged(host)),
    'factory.commission-untrusted',
    /evidence-signer.*serverAuth/,
  );
  const person = await headquarters.certificate('operator', { person: 'lin' }, forger, 'operator');
  await refused(await bed.commission(await forged(person)), 'factory.commission-untrusted', /evidence-signer/);
  const factory = await issue(
    factoryProfile(profileOf(headquarters.policy, 'evidence-signer'), 'lyon-2'),
    {},
    forger,
    headquarters.cas.server,
    bed.clock.now(),
  );
  await refused(await bed.commission(await forged(factory)), 'factory.commission-untrusted', /evidence-signer.*lyon-2/);
  // And one that headquarters has revoked.
  const leaked = await issue(
    profileOf(headquarters.policy, 'evidence-signer'),
    {},
    forger,
    headquarters.cas.server,
    bed.clock.now(),
  );
  headquarters.revoke('server', leaked);
  await refused(await bed.commission(await forged(leaked)), 'factory.commission-untrusted', /evidence-signer: revoked/);
  headquarters.revoked.clear();
});

test('a byte of the commission that is changed is a refusal and never a crash', async () => {
  const good = await bed.commission();
  for (let at = 0; at < good.length; at += Math.ceil(good.length / 60)) {
    const bytes = Buffer.from(good, 'latin1');
    bytes[at] = ((bytes[at] ?? 0) + 1) % 128;
    await assert.rejects(bed.import(bytes.toString('latin1')), (error) => error instanceof KeysteadError);
    assert.equal(readNodePins(bed.layout), undefined);
  }
});

test('a sub-CA without its constraints is refused: path length, names, hosts, another factory, too long a life', async () => {
  const { policy } = bed.headquarters;
  const good = factoryCaProfile(policy, 'manufacturing', 'berlin-1', 30 * DAY, SERVER_NAMES);
  const permitted = { organization: 'Keystead', organizationalUnit: 'berlin-1', hosts: false };
  const bad = [
    { ...good, ca: { pathLength: 0 } },
    { ...good, ca: { pathLength: 0, permitted: { ...permitted, organizationalUnit: 'lyon-2' } } },
    { ...good, ca: { pathLength: 0, permitted: { ...permitted, hosts: true } } },
    factoryCaProfile(policy, 'manufacturing', 'lyon-2', 30 * DAY, SERVER_NAMES),
    factoryCaProfile(policy, 'manufacturing', 'berlin-1', 91 * DAY, SERVER_NAMES),
  ];
  for (const profile of bad) {
    const text = await bed.commission({ profiles: { manufacturing: profile } });
    await refused(text, 'factory.constraint-missing', /issued.manufacturing/);
  }
  const server = factoryCaProfile(policy, 'server', 'berlin-1', 30 * DAY, SERVER_NAMES);
  const text = await bed.commission({ profiles: { server: { ...server, ca: { pathLength: 0 } } } });
  await refused(text, 'factory.constraint-missing', /issued.server/);
});

test('a policy that fails its checks, or has nothing for factories, is refused', async () => {
  const { policy } = bed.headquarters;
  const edited = (change: object) => formatPolicy({ ...policy, ...change } as typeof policy);
  await refused(await bed.commission({ policy: '{' }), 'policy.malformed', /policy/);
  const weak = await bed.commission({ policy: edited({ algorithms: [...policy.algorithms, 'RSA-2048'] }) });
  await refused(weak, 'policy.algorithm-too-weak', /algorithms/);
  const { factory: _, ...without } = policy;
  await refused(await bed.commission({ policy: formatPolicy(without) }), 'policy.hierarchy', /pathLength/);
});

test('CRLs that are missing, of a stranger or older than the policy bears are refused, and so is what they revoke', async () => {
  const { headquarters } = bed;
  const { operator: _, ...rest } = await headquarters.crls();
  await refused(await bed.commission({ crls: rest }), 'factory.crl-unfit', /crls.operator/);
  const stranger = await FakeHeadquarters.make(bed.clock);
  const theirs = { ...rest, operator: toBase64(await stranger.crl('operator')) };
  await refused(await bed.commission({ crls: theirs }), 'factory.crl-unfit', /crls.operator/);
  const old = new Date(bed.clock.now().getTime() - 80 * 3_600_000);
  const stale = { ...rest, operator: toBase64(await headquarters.crl('operator', { at: old })) };
  await refused(await bed.commission({ crls: stale }), 'factory.offline-too-long', /operator/);
  headquarters.revoke('root', headquarters.cas.manufacturing.certificate);
  await refused(await bed.commission(), 'factory.commission-untrusted', /certificates.manufacturing: revoked/);
  headquarters.revoked.clear();
});

test('a commission is imported once; the same again changes nothing, and another of its number is refused', async () => {
  const text = await bed.commission();
  const pins = await bed.import(text);
  assert.deepEqual(await bed.import(text), pins);
  assert.deepEqual(await bed.import(text, undefined), pins);
  assert.equal(pins.publishing, false);
  const root = readCertificate(bed.headquarters.cas.root.certificate).sha256;
  assert.equal(pins.rootSha256, root);
  await refused(await bed.commission(), 'factory.commission-differs', /number/, undefined);
  await refused(await bed.commission({ number: 2 }), 'factory.commission-foreign', /act: commission/, undefined);
});

test('a renewal needs no passphrase and replaces the certificates; the one before it is then older', async () => {
  await bed.start();
  const before = await bed.client.status();
  await assert.rejects(
    bed.import(await bed.commission({ act: 'renew', number: 2 })),
    (error) => error instanceof KeysteadError && error.code === 'keyd.already-running',
  );
  await bed.stop();
  bed.clock.advance(20 * DAY);
  const first = await bed.commission({ act: 'renew', number: 2, deviceIdPrefixes: ['B1-', 'B2-'] });
  await bed.import(first, undefined);
  await bed.start();
  const { factory } = await bed.client.status();
  assert.equal(factory?.commission, 2);
  assert.deepEqual(factory?.deviceIdPrefixes, ['B1-', 'B2-']);
  assert.ok((factory?.ends.manufacturing ?? 0) > (before.factory?.ends.manufacturing ?? 0));
  await bed.stop();
  await bed.import(await bed.commission({ act: 'renew', number: 4 }), undefined);
  await refused(
    await bed.commission({ act: 'renew', number: 3 }),
    'factory.commission-older',
    /commission 3/,
    undefined,
  );
  await refused(first, 'factory.commission-older', /commission 2/, undefined);
});

test('a renewal cannot change what only a ceremony can', async () => {
  const { policy } = bed.headquarters;
  const profiles = policy.profiles.map((profile) =>
    profile.id === 'manufacturing-ca' ? { ...profile, description: 'another' } : profile,
  );
  const text = await bed.commission({
    act: 'renew',
    number: 5,
    policy: formatPolicy({ ...policy, version: 2, profiles }),
  });
  await refused(text, 'policy.only-ceremony', /manufacturing-ca/, undefined);
});

test('a copy of the commission that was changed under keyd stops it, and so does a damaged file of pins', async () => {
  const path = nodePinsPath(bed.layout);
  const pins = readFileSync(path);
  const number = String(readNodePins(bed.layout)?.commissions.at(-1)?.number ?? 0).padStart(4, '0');
  const copy = `${bed.layout.keyd}/commissions/${number}.json`;
  const content = readFileSync(copy);
  writeFileSync(copy, `${content.toString()} `);
  await assert.rejects(bed.start(), (error) => error instanceof KeysteadError && error.code === 'bundle.altered');
  writeFileSync(copy, content);
  writeFileSync(path, '{');
  await assert.rejects(bed.start(), (error) => error instanceof KeysteadError && error.code === 'keyd.not-ready');
  writeFileSync(path, pins);
  await bed.start();
});
