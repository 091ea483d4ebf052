import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { DerCertificate, DerCrl, Serial } from '@keystead/core/bytes';
import { toPem } from '@keystead/core/bytes';
import { readCertificate, readRevocationList } from '@keystead/core/x509';
import type { Result } from '../protocol.ts';
import { KeydBed, makeKey } from './bed.ts';
import { commissioned, TestNode, takenIn } from './factory-bed.ts';
import { orderOf, releaseOf, signedBy } from './release.ts';

let bed: KeydBed;
let node: TestNode;
let commission: Result<'commissionFactory'>;
let sub: DerCertificate;
const dir = mkdtempSync(join(tmpdir(), 'keystead-factory-idevid-'));
const ISSUER = 'factory.berlin-1';
let number = 0;

before(async () => {
  bed = await KeydBed.make({ factory: {}, urls: { crl: 'http://crl.example/{ca}.crl' } });
  node = await TestNode.make();
  commission = await commissioned(bed, node);
  sub = commission.certified.manufacturing.certificate;
});
after(async () => {
  await bed.remove();
  rmSync(dir, { recursive: true, force: true });
});

async function crl(entries: { serial: Serial; revokedAt: Date; reason?: 'keyCompromise' | 'certificateHold' }[] = []) {
  number += 1;
  return (await bed.client.signCrl({ issuer: ISSUER, number, entries })).crl;
}

/** What openssl says of an IDevID of the factory by the CRLs of headquarters and the indirect one of the factory. */
async function status(leaf: DerCertificate, list: DerCrl): Promise<string> {
  const { root, manufacturing } = (await bed.client.trust()).certificates;
  assert.ok(root && manufacturing);
  const file = (name: string, ...ders: DerCertificate[]): string => {
    writeFileSync(join(dir, name), ders.map((der) => toPem('CERTIFICATE', der)).join(''));
    return join(dir, name);
  };
  writeFileSync(join(dir, 'list.pem'), toPem('X509 CRL', list));
  const at = String(Math.floor(bed.clock.now().getTime() / 1000));
  const args = ['verify', '-attime', at, '-crl_check', '-extended_crl', '-CRLfile', join(dir, 'list.pem')];
  const cas = ['-CAfile', file('root.pem', root), '-untrusted', file('cas.pem', sub, manufacturing)];
  const { stdout, stderr } = spawnSync('openssl', [...args, ...cas, file('leaf.pem', leaf)], { encoding: 'utf8' });
  return stdout + stderr;
}

test('TEST-KEY-17 an IDevID of a factory enrols once headquarters has taken its unit in, and not before', async () => {
  const made = await node.idevid(bed, sub, 'KS-0001');
  await assert.rejects(bed.enrol('KS-0001', made.certificate), { code: 'requester.not-reconciled' });
  await takenIn(bed, 'berlin-1', made.unit);
  const enrolled = await bed.enrol('KS-0001', made.certificate);
  assert.equal(readCertificate(enrolled.certificate).san[0], 'URI:urn:keystead:device:KS-0001');
  // Whoever has the key of the sub-CA can make another certificate of the same device: it is not the one that is known.
  const twin = await node.idevid(bed, sub, 'KS-0001');
  await assert.rejects(bed.enrol('KS-0001', twin.certificate), { code: 'requester.not-reconciled' });
  const again = await node.idevid(bed, sub, 'KS-0002', made.key);
  await assert.rejects(bed.enrol('KS-0002', again.certificate), { code: 'requester.not-reconciled' });
});

test('TEST-KEY-17 a unit in quarantine proves no device, and says so by a code of its own', async () => {
  const made = await node.idevid(bed, sub, 'KS-0003');
  const conflicts = [{ conflict: 'device-known' as const, with: 'headquarters KS-0003' }];
  await takenIn(bed, 'berlin-1', { ...made.unit, conflicts });
  await assert.rejects(bed.enrol('KS-0003', made.certificate), { code: 'requester.quarantined' });
});

test('a certificate that the factory did not sign is none of it, whatever it names as its issuer', async () => {
  const thief = await TestNode.make();
  const forged = await thief.idevid(bed, sub, 'KS-0001');
  await assert.rejects(bed.enrol('KS-0001', forged.certificate), { code: 'requester.unproven' });
});

test('a device and a key of a factory are provisioned at headquarters no second time', async () => {
  const made = await node.idevid(bed, sub, 'KS-0004');
  await takenIn(bed, 'berlin-1', made.unit);
  const ticket = await bed.ticket();
  await assert.rejects(bed.provision('KS-0004', ticket), { code: 'device.already-provisioned' });
  await assert.rejects(bed.provision('KS-0005', ticket, made.key), { code: 'key.already-used' });
});

test('TEST-KEY-17 what a factory issued is revoked on a list at its own address, which headquarters signs: openssl goes by it [openssl: CRL verify indirect of a factory]', async () => {
  const gone = await node.idevid(bed, sub, 'KS-0010');
  const kept = await node.idevid(bed, sub, 'KS-0011');
  await takenIn(bed, 'berlin-1', gone.unit, kept.unit);
  assert.match(await status(gone.certificate, await crl()), /: OK/);
  bed.clock.advance(10);
  const revokedAt = bed.clock.now();
  const list = await crl([{ serial: gone.unit.serial as Serial, revokedAt, reason: 'keyCompromise' }]);
  assert.match(await status(gone.certificate, list), /certificate revoked/);
  assert.match(await status(kept.certificate, list), /: OK/);
  await assert.rejects(bed.enrol('KS-0010', gone.certificate), { code: 'requester.revoked' });
  const read = readRevocationList(list);
  assert.deepEqual([read.point?.indirect, read.baseNumber], [true, undefined]);
  // Left out by a front end that was taken over, it stays on the list; also after a restart.
  await bed.restart();
  assert.match(await status(gone.certificate, await crl()), /certificate revoked/);
  await assert.rejects(bed.client.signCrl({ issuer: 'factory.nowhere', number: 1, entries: [] }), {
    code: 'issuer.unknown',
  });
});

test('what a factory issued goes on hold and comes off by an order of operators alone', async () => {
  const made = await node.idevid(bed, sub, 'KS-0012');
  await takenIn(bed, 'berlin-1', made.unit);
  const serial = made.unit.serial as Serial;
  const held = await crl([{ serial, revokedAt: bed.clock.now(), reason: 'certificateHold' }]);
  assert.match(await status(made.certificate, held), /certificate revoked|Certificate On Hold/i);
  await assert.rejects(bed.enrol('KS-0012', made.certificate), { code: 'requester.revoked' });
  const list = [{ issuer: ISSUER, serial }] as const;
  const statements = [await signedBy(bed, 'ada', releaseOf(list))];
  await bed.client.releaseHold({ statements, certificates: [...list], requestId: 'release' });
  assert.match(await status(made.certificate, await crl()), /: OK/);
  await bed.enrol('KS-0012', made.certificate);
  assert.equal(orderOf(list, { act: 'hold', selector: { kind: 'ca', ca: ISSUER } }).count, 1);
});

test('TEST-KEY-17 IDevIDs go on enrolling after the sub-CA has ended and the factory is closed; revoked with it, none does', async () => {
  const made = await node.idevid(bed, sub, 'KS-0020');
  await takenIn(bed, 'berlin-1', made.unit);
  await commissioned(bed, node, { act: 'close' });
  await bed.enrol('KS-0020', made.certificate);
  bed.clock.advance(31 * 86_400);
  assert.ok(readCertificate(sub).notAfter < bed.clock.now());
  await bed.enrol('KS-0020', made.certificate);

  const oslo = await TestNode.make('oslo-3');
  const opened = await commissioned(bed, oslo);
  const other = await oslo.idevid(bed, opened.certified.manufacturing.certificate, 'KS-0021', makeKey());
  await takenIn(bed, 'oslo-3', other.unit);
  await bed.enrol('KS-0021', other.certificate);
  await commissioned(bed, oslo, { act: 'close', revoke: true });
  await assert.rejects(bed.enrol('KS-0021', other.certificate), { code: 'requester.unproven' });
});
