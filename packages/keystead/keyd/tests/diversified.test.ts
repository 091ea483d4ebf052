import assert from 'node:assert/strict';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { DerCertificate, DerSpki } from '@keystead/core/bytes';
import { keyCheckValue, SecretBytes } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { parse } from 'yaml';
import { opensslKdf, shown } from '../../../core/crypto/tests/support.ts';
import { readDer } from '../../../core/x509/der/strict.ts';
import type { Params, Result } from '../../keyd-client/index.ts';
import { parseSealedFile } from '../../keystore/sealed-format.ts';
import { Sealing } from '../../keystore/sealing.ts';
import { diversifiedRequest } from '../operations/derive-unit-key.ts';
import { readJournal } from '../read-journal.ts';
import { csrFor, KEYD_PASSPHRASE, KeydBed, makeKey, type TestKey } from './bed.ts';
import { OpensslUnit } from './unit-with-openssl.ts';

/* keyd with a policy by which each device has a key for telemetry and one for its link. */
let bed: KeydBed;
let unit: OpensslUnit;
let root: DerCertificate;
let device: { key: TestKey; issued: Result<'provision'> };
before(async () => {
  unit = new OpensslUnit();
  bed = await KeydBed.make({
    unitKeys: {
      diversified: [
        { purpose: 'telemetry', version: 1, bytes: 32 },
        { purpose: 'link', version: 3, bytes: 16 },
      ],
    },
  });
  root = (await bed.client.trust()).certificates.root as DerCertificate;
  const key = makeKey();
  device = { key, issued: await bed.provision('KS-0001', await bed.ticket(), key) };
});
after(async () => {
  await bed?.remove();
  unit?.remove();
});

async function asked(more: Partial<Params<'deriveUnitKey'>> = {}, key = device.key): Promise<Params<'deriveUnitKey'>> {
  const { deviceId = 'KS-0001', purpose = 'telemetry', recipient = unit.recipient } = more;
  const said = diversifiedRequest(purpose, deviceId, recipient as DerSpki);
  const proof = await key.signer.sign(said);
  const certificate = device.issued.certificate;
  return { certificate, proof, requestId: 'derive', ...more, deviceId, purpose, recipient };
}

/** The key of a SymmetricKeyPackage, by openssl up to the package. */
function keyIn(envelope: Uint8Array): Uint8Array {
  const content = unit.open(envelope, root, bed.clock.now());
  return Uint8Array.from(readDer(content).child(0, 0x30, 'keys').child(0, 0x30, 'key').child(0, 0x04, 'sKey').value);
}

async function refused(code: string, seen: RegExp, params: Params<'deriveUnitKey'>): Promise<void> {
  const before = readFileSync(join(bed.dir, 'journal'));
  await assert.rejects(bed.client.deriveUnitKey(params), (error) => {
    assert.ok(error instanceof KeysteadError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(`${error.field}: ${error.seen}`, seen);
    return true;
  });
  assert.deepEqual(readFileSync(join(bed.dir, 'journal')), before);
}

test('TEST-KEY-04: a device gets its key for a purpose: openssl opens the package, and openssl kdf derives the same from the master and what the page defines [openssl cms: CMS SymmetricKeyPackage]', async () => {
  const { envelope, version, kcv } = await bed.client.deriveUnitKey(await asked());
  const key = keyIn(envelope);
  assert.deepEqual([key.length, version], [32, 1]);
  // keyd's master, taken out of its file with its passphrase.
  const file = parseSealedFile(readFileSync(join(bed.dir, 'keystore.sealed')));
  const sealing = await Sealing.fromPassphrase(file.header, SecretBytes.copy(Buffer.from(KEYD_PASSPHRASE)));
  const found = file.keys.find(({ id }) => id === 'diversify.telemetry.1');
  assert.ok(found);
  const expected = opensslKdf('KBKDF', 32, {
    mac: 'HMAC',
    digest: 'SHA256',
    mode: 'counter',
    hexkey: shown(sealing.open(found)),
    hexsalt: Buffer.from('keystead device key 2 telemetry').toString('hex'),
    hexinfo: `00000001${device.issued.spkiSha256}${Buffer.from('KS-0001').toString('hex')}`,
  });
  assert.equal(Buffer.from(key).toString('hex'), expected);
  // The record, signed before the key was ever given out, has the check value.
  const record = parse(device.issued.record) as { key: Record<string, string> };
  assert.match(record.key.symmetric ?? '', new RegExp(`^telemetry\\.1 kcv ${kcv}, link\\.3 kcv [0-9A-F]{6}$`));
  assert.equal(keyCheckValue(SecretBytes.take(key)), kcv);
});

test('TEST-KEY-04: the same device gets the same key again, also after a restart; another device and another purpose get another', async () => {
  const one = keyIn((await bed.client.deriveUnitKey(await asked())).envelope);
  await bed.restart();
  const again = keyIn((await bed.client.deriveUnitKey(await asked())).envelope);
  assert.deepEqual(again, one);
  const link = keyIn((await bed.client.deriveUnitKey(await asked({ purpose: 'link' }))).envelope);
  assert.equal(link.length, 16);
  assert.notDeepEqual(link, one.subarray(0, 16));
  const masters = readJournal(join(bed.dir, 'journal')).entries.filter(({ kind }) => kind === 'master-key');
  assert.equal(masters.length, 2);
});

test('TEST-KEY-17: a derived key goes only where the device itself signed that it shall go', async () => {
  const stranger = makeKey();
  await refused('diversify.unproven', /proof/, await asked({}, stranger));
  const other = new OpensslUnit();
  try {
    const { proof } = await asked();
    await refused('diversify.unproven', /proof/, await asked({ recipient: other.recipient, proof }));
    await refused('diversify.unproven', /proof/, await asked({ purpose: 'link', proof }));
  } finally {
    other.remove();
  }
  await refused('diversify.unproven', /not provisioned here/, await asked({ deviceId: 'KS-0099' }));
  const { certificate } = await bed.provision('KS-0002', await bed.ticket());
  await refused('requester.unproven', /KS-0002, for KS-0001/, await asked({ certificate }));
  await refused('diversify.purpose-unknown', /payment/, await asked({ purpose: 'payment' }));
  await refused('injection.recipient-unfit', /the identity of KS-0001/, await asked({ recipient: device.key.spki }));
});

test('TEST-KEY-17: a device whose IDevID is revoked gets no derived key any more', async () => {
  const key = makeKey();
  const issued = await bed.provision('KS-0003', await bed.ticket(), key);
  const { serial, issuer, certificate } = issued;
  const revokedAt = bed.clock.now();
  const entry = { serial, revokedAt, reason: 'keyCompromise' } as const;
  await bed.client.listRevocations({ issuer, entries: [entry] });
  await refused(
    'diversify.unproven',
    /KS-0003, which is revoked/,
    await asked({ deviceId: 'KS-0003', certificate }, key),
  );
});

test('TEST-KEY-04: a master that is gone is not made again under its name: every device would get another key', async () => {
  const lost = await KeydBed.make({ unitKeys: { diversified: [{ purpose: 'telemetry', version: 1, bytes: 32 }] } });
  try {
    await lost.provision('KS-0001', await lost.ticket());
    await lost.stop();
    const { openSealedKeystore } = await import('../../keystore/index.ts');
    const path = join(lost.dir, 'keystore.sealed');
    const store = await openSealedKeystore(path, SecretBytes.copy(Buffer.from(KEYD_PASSPHRASE)), lost.clock);
    await store.destroy('diversify.telemetry.1');
    store.close();
    await lost.start();
    const csr = await csrFor('KS-0002');
    const params = {
      ticket: await lost.ticket(),
      deviceId: 'KS-0002',
      csr,
      station: 's',
      operator: 'lin',
      line: 'line-1',
    };
    await assert.rejects(
      lost.client.provision({ ...params, requestId: 'r' }),
      (error) => error instanceof KeysteadError && error.code === 'diversify.master-lost',
    );
    assert.equal((await lost.client.status()).tickets[0]?.units, 1);
  } finally {
    await lost.remove();
    rmSync(lost.dir, { recursive: true, force: true });
  }
});
