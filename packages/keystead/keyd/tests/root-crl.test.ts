import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { type DerCertificate, type DerCrl, toHex } from '@keystead/core/bytes';
import { randomBytes, spkiSha256 } from '@keystead/core/crypto';
import {
  type CaRevocationOrder,
  type CaRevocationStatement,
  type IssuerId,
  type Role,
  signCaRevocation,
} from '@keystead/core/lifecycle';
import { formatName, nameKey, readCertificate, readRevocationList } from '@keystead/core/x509';
import { KeydBed } from './bed.ts';
import { LaterCeremonies } from './later-bed.ts';

let bed: KeydBed;
let later: LaterCeremonies;
before(async () => {
  bed = await KeydBed.make({}, undefined, []);
  later = new LaterCeremonies(bed);
});
after(() => bed.remove());

type Person = 'ada' | 'lin' | 'aud' | 'pol';
const ROLES: Readonly<Record<Person, Role>> = {
  ada: 'ca-operator',
  lin: 'line-operator',
  aud: 'auditor',
  pol: 'policy-administrator',
};
const second = (ms: number): string => `${new Date(ms).toISOString().slice(0, 19)}Z`;

async function orderOf(ca: IssuerId, more: Partial<CaRevocationOrder> = {}): Promise<CaRevocationOrder> {
  const { issuers } = await bed.client.trust();
  const certificate = issuers.find(({ id }) => id === ca)?.certificate ?? new Uint8Array();
  const spki = spkiSha256(readCertificate(certificate).spki);
  return { id: toHex(randomBytes(8)), ca, spkiSha256: spki, reason: 'cACompromise', ...more };
}

function signed(
  by: Person,
  order: CaRevocationOrder,
  more: Partial<CaRevocationStatement> & { age?: number; key?: Person } = {},
): Promise<string> {
  const { age = 0, key = by, ...statement } = more;
  const at = bed.clock.now().getTime() - age * 1000;
  const times = { signedAt: second(at), expiresAt: second(at + 3_600_000) };
  const draft = { act: 'propose' as const, order, proposer: 'ada', role: ROLES[by], ...times, ...statement };
  return signCaRevocation(draft, by, bed.people[key].signer);
}
const approved = async (order: CaRevocationOrder): Promise<string[]> => [
  await signed('ada', order),
  await signed('pol', order, { act: 'approve' }),
];
const certificateOf = async (ca: string): Promise<DerCertificate> => {
  const { issuers } = await bed.client.trust();
  return issuers.find(({ id }) => id === ca)?.certificate as DerCertificate;
};

/** What openssl says of a CA by the lists, looked at for that CA alone. */
async function openssl(ca: DerCertificate, lists: readonly DerCrl[], ...more: string[]): Promise<string> {
  const { certificates, crlSigner } = await bed.client.trust();
  const root = later.pem('v-root', certificates.root ?? new Uint8Array());
  const signer = later.pem('v-signer', crlSigner ?? new Uint8Array());
  const crls = later.crlPem('v', ...lists);
  try {
    const by = ['-extended_crl', '-crl_check', '-CAfile', root, '-untrusted', signer, '-CRLfile', crls, ...more];
    return later.verify(...by, later.pem('v-ca', ca));
  } catch (error) {
    return String((error as { stderr: unknown }).stderr);
  }
}

test('TEST-KEY-08 keyd signs the indirect CRL of the root, openssl judges the CAs by it, and GnuTLS reads it [openssl: CRL indirect] [GnuTLS certtool: CRL indirect]', async () => {
  const { crlSigner, certificates } = await bed.client.trust();
  const made = await bed.client.signRootCrl();
  const list = readRevocationList(made.crl);
  assert.equal(formatName(list.issuer), formatName(readCertificate(crlSigner ?? new Uint8Array()).subject));
  assert.deepEqual([list.point?.indirect, list.size, Number(list.number)], [true, 0, made.number]);
  assert.equal(made.nextUpdate.getTime() - made.thisUpdate.getTime(), bed.policy.revocation.crlSeconds * 1000);
  assert.match(await openssl(await certificateOf('operational'), [made.crl]), /: OK/);
  const path = later.crlPem('gnutls', made.crl);
  const text = execFileSync('certtool', ['--crl-info', '--infile', path], { encoding: 'utf8' });
  assert.match(text, /Issuer: CN=Keystead Root CRL signer,O=Keystead/);
  const again = await bed.client.signRootCrl();
  assert.ok(again.number > made.number);
  const { keyUsage, ca, issuer } = readCertificate(crlSigner ?? new Uint8Array());
  assert.deepEqual([keyUsage, ca], [['cRLSign'], false]);
  assert.equal(nameKey(issuer), nameKey(readCertificate(certificates.root ?? new Uint8Array()).subject));
});

test('TEST-KEY-08 keyd revokes no CA by too few, by the wrong people, for another key, nor by what was altered or has ended', async () => {
  const order = await orderOf('operational');
  const refused = async (code: string, statements: string[]) => {
    await assert.rejects(bed.client.revokeCa({ statements, requestId: 'attack' }), { code });
    assert.equal((await bed.client.signRootCrl()).entries, 0);
  };
  const proposal = await signed('ada', order);
  await refused('revocation-request.too-few', [proposal]);
  await refused('revocation-request.malformed', [await signed('pol', order, { act: 'approve' })]);
  await refused('revocation-request.self', [proposal, await signed('ada', order, { act: 'approve' })]);
  await refused('revocation-request.signer-forbidden', [proposal, await signed('aud', order, { act: 'approve' })]);
  await refused('revocation-request.signer-forbidden', [proposal, await signed('lin', order, { act: 'approve' })]);
  const approval = await signed('pol', order, { act: 'approve' });
  await refused('revocation-request.duplicate', [proposal, approval, approval]);
  await refused('revocation-request.signature-invalid', [
    proposal,
    await signed('pol', order, { act: 'approve', key: 'ada' }),
  ]);
  const other = await orderOf('operational', { reason: 'superseded' });
  await refused('revocation-request.other-order', [proposal, await signed('pol', other, { act: 'approve' })]);
  await refused('revocation-request.expired', [proposal, await signed('pol', order, { act: 'approve', age: 7200 })]);
  await refused('issuer.unknown', await approved(await orderOf('operational', { spkiSha256: '0'.repeat(64) })));
  await refused('issuer.unknown', await approved({ ...order, ca: 'operational.2' }));
  const ahead = second(bed.clock.now().getTime() + 3_600_000);
  await refused('revocation.invalidity-date', await approved(await orderOf('operational', { invalidityDate: ahead })));
});

test('TEST-KEY-08 a quorum revokes a CA between ceremonies: it issues nothing, proves nobody, and the list names each of its certificates, also after a restart [openssl: CRL indirect]', async () => {
  const id = 'KS-0001';
  const { certificate } = await bed.provision(id, await bed.ticket());
  const ldevid = (await bed.enrol(id, certificate)).certificate;
  const since = second(bed.clock.now().getTime() - 86_400_000);
  const order = await orderOf('operational', { invalidityDate: since });
  const statements = await approved(order);
  const done = await bed.client.revokeCa({ statements, requestId: 'theft' });
  assert.deepEqual([done.ca, done.by, done.approvers, done.order], ['operational', 'ada', ['pol'], order.id]);
  await assert.rejects(bed.enrol(id, certificate), { code: 'ca.revoked' });
  const renewal = { kind: 'device', id, certificate: ldevid } as const;
  const ca = await certificateOf('operational');
  const look = async () => {
    const made = await bed.client.signRootCrl();
    const list = readRevocationList(made.crl);
    const found = list.find(nameKey(readCertificate(ca).issuer), readCertificate(ca).serial);
    assert.equal(found?.reason, 'cACompromise');
    assert.match(await openssl(ca, [made.crl]), /certificate revoked/);
    assert.match(await openssl(await certificateOf('server'), [made.crl]), /: OK/);
    const text = execFileSync('openssl', ['crl', '-in', later.crlPem('text', made.crl), '-noout', '-text'], {
      encoding: 'utf8',
    });
    assert.match(text, /Invalidity Date/);
    assert.match(text, /X509v3 Certificate Issuer: critical/);
    assert.match(text, /Authority Information Access:[\s\S]*root-crl-signer\.cer/);
    assert.deepEqual((await bed.client.trust()).issuers.find((one) => one.id === 'operational')?.revoked, true);
    await assert.rejects(bed.enrol(id, certificate), { code: 'ca.revoked' });
    await assert.rejects(
      bed.client.issue({ profile: 'ldevid', csr: new Uint8Array([0x30, 0]), requester: renewal, requestId: 'renewal' }),
    );
    return made.number;
  };
  const number = await look();
  await bed.restart();
  assert.ok((await look()) > number);
  // It answers for what it issued all the same.
  const { crlNumbers } = await bed.client.status();
  await bed.client.signCrl({ issuer: 'operational', number: (crlNumbers.operational ?? 0) + 1, entries: [] });
  // The same order again: one answer, and nothing more in the journal.
  bed.clock.advance(7200);
  assert.deepEqual(await bed.client.revokeCa({ statements, requestId: 'again' }), done);
  await assert.rejects(
    bed.client.revokeCa({ statements: await approved(await orderOf('operational')), requestId: 'twice' }),
    { code: 'ca.revoked' },
  );
});

test('TEST-KEY-22 each later ceremony certifies the signer again, for the key that it has, and what it revokes stands on both lists', async () => {
  const before = (await bed.client.trust()).crlSigner;
  await later.crl('second', { ca: 'manufacturing', reason: 'superseded' });
  await later.take();
  const { crlSigner, rootCrls } = await bed.client.trust();
  assert.notDeepEqual(crlSigner, before);
  const key = (der: DerCertificate | undefined) => readCertificate(der ?? new Uint8Array()).spkiSha256;
  assert.equal(key(crlSigner), key(before));
  const made = await bed.client.signRootCrl();
  assert.equal(made.entries, 2);
  const own = rootCrls.find(({ id }) => id === 'root')?.crl as DerCrl;
  const [operational, manufacturing] = [await certificateOf('operational'), await certificateOf('manufacturing')];
  for (const ca of [operational, manufacturing]) assert.match(await openssl(ca, [made.crl]), /certificate revoked/);
  // What docs/crl.md warns of: beside the root's own list openssl goes by that one alone.
  assert.match(await openssl(operational, [own, made.crl]), /: OK/);
  assert.match(await openssl(manufacturing, [own, made.crl]), /certificate revoked/);
});

test('TEST-KEY-22 a bundle with a signer of another key, without one, or that no root signed is refused', async () => {
  await later.crl('third');
  await bed.stop();
  const bundle = later.bundle();
  assert.ok(bundle.crlSigner);
  const { checkBundle } = await import('@keystead/core/lifecycle');
  const now = bed.clock.now();
  const { crlSigner: _signer, ...without } = bundle;
  assert.throws(() => checkBundle(without, bed.policy, now), {
    code: 'bundle.altered',
    field: 'certificates.manufacturing',
  });
  assert.throws(() => checkBundle({ ...bundle, crlSigner: bundle.certificates.server }, bed.policy, now), {
    code: 'bundle.altered',
  });
  const { changesOf } = await import('../later-changes.ts');
  const { loadHierarchy } = await import('../hierarchy.ts');
  const hierarchy = loadHierarchy(bed.rehearsal.layout);
  assert.throws(() => changesOf({ ...bundle, crlSigner: bundle.certificates.server }, hierarchy, bed.policy), {
    code: 'bundle.change-unexpected',
    field: 'crlSigner',
  });
  assert.throws(() => changesOf(without, hierarchy, bed.policy), {
    code: 'bundle.change-unexpected',
    field: 'crlSigner',
  });
  writeFileSync(later.out('third.note'), 'not imported');
  await bed.start();
});

test('TEST-KEY-08 a list never outlives the certificate of its signer, and after that none is signed', async () => {
  const end = readCertificate((await bed.client.trust()).crlSigner ?? new Uint8Array()).notAfter.getTime();
  bed.clock.set(new Date(end - 60_000));
  const { nextUpdate } = await bed.client.signRootCrl();
  assert.equal(nextUpdate.getTime(), end);
  bed.clock.set(new Date(end));
  await assert.rejects(bed.client.signRootCrl(), { code: 'crl.no-root-signer' });
  const statements = await approved(await orderOf('server'));
  await assert.rejects(bed.client.revokeCa({ statements, requestId: 'late' }), { code: 'crl.no-root-signer' });
});

test('what was founded without a signer goes on as before: the CAs name the list of the root, and keyd says that it signs none', async () => {
  const old = await KeydBed.make({ rootCrlSigner: false });
  try {
    const trust = await old.client.trust();
    assert.equal(trust.crlSigner, undefined);
    const { crlUrls, indirectCrls } = readCertificate(trust.certificates.server ?? new Uint8Array());
    assert.deepEqual([crlUrls, indirectCrls], [['http://localhost:8080/crl/root.crl'], []]);
    await assert.rejects(old.client.signRootCrl(), { code: 'crl.no-root-signer' });
    const { keys } = await old.client.keys();
    assert.equal(keys.find(({ id }) => id === 'root-crl')?.activatedAt, null);
    const ceremonies = new LaterCeremonies(old);
    await ceremonies.crl('next');
    await ceremonies.take();
    assert.equal((await old.client.trust()).crlSigner, undefined);
  } finally {
    await old.remove();
  }
});
