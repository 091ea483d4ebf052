import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type DerCertificate, toHex, toPem } from '@keystead/core/bytes';
import { certSha256, sha256, spkiSha256 } from '@keystead/core/crypto';
import { parseTicket } from '@keystead/core/lifecycle';
import { parse } from 'yaml';
import { meaningOf } from '../origin-meaning.ts';
import { readJournal } from '../read-journal.ts';
import { csrFor, KeydBed, makeKey } from './bed.ts';

let bed: KeydBed;
let dir: string;
before(async () => {
  bed = await KeydBed.make();
  dir = mkdtempSync(join(tmpdir(), 'keystead-documents-'));
});
after(async () => {
  await bed.remove();
  rmSync(dir, { recursive: true, force: true });
});

/** Verifies a document as an auditor with openssl alone does: the signer under the root, the signature under it. */
async function verifyByOpenssl(text: string, signature: Uint8Array): Promise<void> {
  const { certificates, evidenceSigner } = await bed.client.trust();
  const file = (name: string, content: string | Uint8Array): string => {
    writeFileSync(join(dir, name), content);
    return name;
  };
  const root = file('root.pem', toPem('CERTIFICATE', certificates.root as DerCertificate));
  const server = file('server.pem', toPem('CERTIFICATE', certificates.server as DerCertificate));
  const signer = file('signer.pem', toPem('CERTIFICATE', evidenceSigner));
  const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: dir, encoding: 'utf8', stdio: 'pipe' });
  const at = String(Math.floor(bed.clock.now().getTime() / 1000) + 1);
  assert.match(openssl('verify', '-attime', at, '-CAfile', root, '-untrusted', server, signer), /OK/);
  writeFileSync(join(dir, 'key.pem'), openssl('x509', '-in', signer, '-pubkey', '-noout'));
  const document = file('document.yaml', text);
  const verify = ['dgst', '-sha256', '-verify', 'key.pem', '-signature', file('document.sig', signature), document];
  assert.match(openssl(...verify), /Verified OK/);
}

test('a unit gets a provisioning record with all that an auditor needs, and openssl verifies its signature', async () => {
  const key = makeKey();
  const ticket = await bed.ticket();
  const unit = await bed.provision('KS-0007', ticket, key);
  await verifyByOpenssl(unit.record, unit.signature);
  const { certificates, evidenceSigner } = await bed.client.trust();
  assert.deepEqual(parse(unit.record), {
    record: 'keystead provisioning record',
    record_version: 3,
    device_id: 'KS-0007',
    keys: {
      identity_cert: `sha256:${certSha256(unit.certificate)}`,
      bootstrap_ca: `sha256:${certSha256(certificates.root as DerCertificate)}`,
    },
    date: bed.clock.now().toISOString(),
    operator: 'lin',
    line: 'line-1',
    station: 'station-1',
    ticket: 'batch-1',
    ticket_sha256: parseTicket(ticket).sha256,
    model: 'KS-PUMP-1',
    profile: 'idevid',
    serial: unit.serial,
    not_before: unit.notBefore.toISOString(),
    not_after: 'without end',
    issuer: 'CN=Keystead manufacturing CA,O=Keystead',
    issuer_cert: `sha256:${certSha256(certificates.manufacturing as DerCertificate)}`,
    key_algorithm: 'P-256',
    spki_sha256: spkiSha256(key.spki),
    key: { origin: 'proof-of-possession', meaning: meaningOf('proof-of-possession') },
    software: 'keystead 0.1.0',
    policy_sha256: toHex(sha256(bed.rehearsal.output('policy.json'))),
    log_origin: 'rehearsal.example/log',
    request_id: 'provision-KS-0007',
    signer_cert: `sha256:${certSha256(evidenceSigner)}`,
  });
  const entry = readJournal(join(bed.dir, 'journal')).entries.at(-1);
  assert.equal(entry?.kind === 'document' && entry.sha256, toHex(sha256(Buffer.from(unit.record))));
});

test('values that YAML would read as something else stay text', async () => {
  const ticket = await bed.ticket({ id: '1e3', model: 'no', lines: ['0x10'] });

  const { record } = await bed.client.provision({
    ticket,
    deviceId: 'KS-0010',
    csr: await csrFor('KS-0010'),
    station: '2026-01-01',
    operator: 'lin',
    line: '0x10',
    requestId: 'null',
  });
  const read = parse(record) as Record<string, unknown>;
  assert.deepEqual(
    [read.ticket, read.model, read.line, read.station, read.request_id],
    ['1e3', 'no', '0x10', '2026-01-01', 'null'],
  );
  assert.match(record, /^model: "no"$/m);
});

test('no name can break out of its line in a record', async () => {
  const hostile = await bed.hostile();
  for (const station of ['a\nkey_origin: "HSM"', 'a"b', '../x', '', ' ', 'x'.repeat(65)]) {
    const { error } = await hostile.ask('provision', { ...unitParams(), station });
    assert.equal(error?.code, 'request.malformed');
    assert.equal(error?.field, 'station');
  }
  const { error } = await hostile.ask('provision', { ...unitParams(), requestId: 'a\nb' });
  assert.equal(error?.field, 'requestId');
  hostile.end();
});

const unitParams = () => ({
  ticket: '{}',
  deviceId: 'KS-0001',
  csr: 'AAAA',
  station: 's',
  operator: 'lin',
  line: 'line-1',
  requestId: 'r',
});

test('evidence of an end is signed once the revocations that it names stand on a CRL, for an operator who may', async () => {
  const unit = await bed.provision('KS-0020', await bed.ticket());
  const revocation = { serial: unit.serial, revokedAt: bed.clock.now(), reason: 'cessationOfOperation' as const };
  const end = {
    kind: 'decommission' as const,
    deviceId: 'KS-0020',
    reason: 'end of service',
    operator: 'ada',
    wiped: ['idevid key', 'ldevid key: "all" of it\nand more'],
    revoked: [{ ...revocation, issuer: 'manufacturing' as const }],
    requestId: 'end-1',
  };
  await assert.rejects(bed.client.signEvidence(end), { code: 'evidence.not-revoked' });
  await assert.rejects(bed.client.signEvidence({ ...end, revoked: [] }), {
    code: 'evidence.not-revoked',
    field: 'deviceId',
    seen: `IDevID ${unit.serial}`,
  });
  await assert.rejects(bed.client.signEvidence({ ...end, deviceId: 'KS-0099', revoked: [] }), {
    code: 'device.not-provisioned',
  });
  await bed.client.signCrl({ issuer: 'manufacturing', number: 1, entries: [revocation] });
  await assert.rejects(bed.client.signEvidence({ ...end, operator: 'lin' }), { code: 'operator.forbidden' });
  await assert.rejects(bed.client.signEvidence({ ...end, operator: 'eve' }), { code: 'operator.unknown' });
  const { document, signature } = await bed.client.signEvidence(end);
  await verifyByOpenssl(document, signature);
  const read = parse(document) as Record<string, unknown>;
  assert.equal(read.device_id, 'KS-0020');
  assert.deepEqual(read.wiped_as_reported, end.wiped);
  assert.deepEqual(read.revoked, [
    {
      serial: unit.serial,
      issuer: 'manufacturing',
      revoked_at: revocation.revokedAt.toISOString(),
      reason: 'cessationOfOperation',
    },
  ]);
});

test('the journal tells every certificate in order, page by page', async () => {
  const all: string[] = [];
  for (let from = 0, end = false; !end; ) {
    const page = await bed.client.journal({ from, limit: 2 });
    all.push(...page.certificates.map((one) => one.subject));
    ({ next: from, end } = page);
  }
  assert.deepEqual(all, ['KS-0007', 'KS-0010', 'KS-0020']);
  assert.ok(!readFileSync(join(bed.dir, 'journal'), 'utf8').includes('PRIVATE'));
});
