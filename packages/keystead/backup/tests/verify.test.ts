import assert from 'node:assert/strict';
import {
  appendFileSync,
  copyFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, before, test } from 'node:test';
import { type DerCertificate, fromPem, toHex } from '@keystead/core/bytes';
import { generateSoftwareKey, SecretBytes, sha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { encryptStream, newIdentity } from '../age.ts';
import { ContainerWriter } from '../container.ts';
import { openBackup, type SignedBackup, slipOf, verifyBackup } from '../index.ts';
import { masterMember, masterOf } from '../master.ts';
import { splitAmong } from '../shares.ts';
import { BackupBed, flipped } from './bed.ts';
import { forgedBy } from './forged.ts';

let bed: BackupBed;
let backup: SignedBackup;
before(async () => {
  bed = await BackupBed.make();
  await bed.provision('KS-0001');
  await bed.published();
  backup = await bed.create();
});
after(() => bed.remove());

/** A backup of a few bytes, signed by keyd, so that each byte of it can be tried. */
async function smallBackup(path: string): Promise<void> {
  const { identity, recipient } = await newIdentity();
  const content = Buffer.from('keyd wrote this\n');
  const writer = await ContainerWriter.create(path);
  for await (const part of await encryptStream(recipient, ReadableStream.from([content]))) await writer.write(part);
  const { backup: custodians } = bed.keyd.policy;
  assert.ok(custodians);
  const { manifest, signature } = await bed.keyd.client.signBackupManifest({
    backupId: '0f'.repeat(16),
    operator: 'ada',
    checkpoint: null,
    payload: { ...(await writer.endContent()), recipient },
    members: [{ path: 'keyd/journal', bytes: content.length, sha256: toHex(sha256(content)) }],
    shares: await splitAmong(identity, '0f'.repeat(16), custodians),
    requestId: 'small',
  });
  await writer.seal(Buffer.from(manifest), signature);
}

const NOTICED = new Set([
  'backup.damaged',
  'backup.malformed',
  'backup.signature-invalid',
  'backup.member-unknown',
  'backup.signing-key-forbidden',
]);

test('TEST-KEY-21 every single flipped byte of a backup is noticed without decrypting anything', async () => {
  const path = bed.path('small.ksb');
  await smallBackup(path);
  await verifyBackup(path, bed.trust);
  const { trust } = bed;
  const copy = bed.path('flipped');
  const size = statSync(path).size;
  for (let at = 0; at < size; at += 1) {
    flipped(path, at, copy);
    await assert.rejects(
      verifyBackup(copy, trust),
      (error) => error instanceof KeysteadError && NOTICED.has(error.code),
      `byte ${at} of ${size}`,
    );
  }
});

test('the chunk that is damaged is named, and a cut or longer file is none', async () => {
  const copy = bed.path('damaged');
  flipped(backup.path, 5000, copy);
  await assert.rejects(verifyBackup(copy, bed.trust), {
    code: 'backup.damaged',
    seen: /^bytes 0 to \d+ of the content$/,
  });
  const refused = async (change: (path: string) => void, code: string): Promise<void> => {
    copyFileSync(backup.path, copy);
    change(copy);
    await assert.rejects(verifyBackup(copy, bed.trust), { code });
  };
  const { size } = statSync(backup.path);
  await refused((path) => truncateSync(path, size - 1), 'backup.malformed');
  await refused((path) => truncateSync(path, Math.floor(size / 2)), 'backup.malformed');
  await refused((path) => truncateSync(path, 0), 'backup.malformed');
  await refused((path) => appendFileSync(path, 'x'), 'backup.malformed');
  await refused(
    (path) => writeFileSync(path, Buffer.concat([readFileSync(path), readFileSync(path)])),
    'backup.damaged',
  );
  await assert.rejects(verifyBackup(bed.path('none'), bed.trust), { code: 'backup.unreadable' });
  await assert.rejects(verifyBackup(bed.folder, bed.trust), { code: 'backup.unreadable' });
});

test('a backup that another keyd signed, or a TLS server under the same CA, is refused', async () => {
  const [signingRoot] = fromPem('CERTIFICATE', readFileSync(join(bed.layout.trust, 'signing-root.pem'), 'utf8'));
  await assert.rejects(openBackup(backup.path, { root: signingRoot as DerCertificate }), {
    code: 'backup.signature-invalid',
    field: 'signer',
  });
  const [server] = fromPem('CERTIFICATE', readFileSync(join(bed.layout.trust, 'server.pem'), 'utf8'));
  await assert.rejects(openBackup(backup.path, { ...bed.trust, evidenceSigner: server as DerCertificate }), {
    code: 'backup.signature-invalid',
    field: 'signer',
  });
  // What the front end could do: sign with the key of its own TLS certificate.
  const forged = await forgedBy(bed, backup, bed.path('forged.ksb'));
  await assert.rejects(openBackup(forged, bed.trust), { code: 'backup.signature-invalid', seen: /another purpose/ });
});

test('a slip verifies as its backup does, and has no content', async () => {
  const path = bed.path('slip');
  writeFileSync(path, slipOf(backup));
  const slip = await openBackup(path, bed.trust);
  assert.equal(slip.manifestSha256, backup.manifestSha256);
  await assert.rejects(verifyBackup(path, bed.trust), { code: 'backup.malformed', seen: /slip/ });
});

test('TEST-KEY-20 no backup holds a signing key: not sealed, not in a member, and none can be put in', async () => {
  const paths = backup.manifest.members.map(({ path }) => path);
  assert.ok(existsSync(join(bed.layout.keyd, 'keystore.sealed')));
  assert.deepEqual(
    paths.filter((path) => /sealed|\.key|operators/.test(path)),
    [],
  );
  assert.ok(paths.includes('store/keystead.db') && paths.includes('keyd/journal') && paths.includes('master/keyd'));
  // The key service refuses, also when the front end lies.
  const hostile = await bed.keyd.hostile();
  const { manifest } = backup;
  const shares = manifest.custodians.map(({ name, commitment, share }) => ({ name, commitment, share }));
  const draft = {
    backupId: '11'.repeat(16),
    operator: 'ada',
    checkpoint: manifest.checkpoint,
    payload: manifest.payload,
    members: manifest.members,
    shares,
    requestId: 'hostile',
  };
  const ask = async (more: object): Promise<string | undefined> =>
    (await hostile.ask('signBackupManifest', { ...draft, ...more })).error?.code;
  const hash = '00'.repeat(32);
  const sealed = { path: 'keyd/keystore.sealed', bytes: 1, sha256: hash };
  assert.equal(await ask({ members: [sealed] }), 'backup.signing-key-forbidden');
  assert.equal(await ask({ members: [{ ...sealed, path: 'store/../keyd/keys' }] }), 'backup.member-unknown');
  assert.equal(await ask({ operator: 'lin' }), 'operator.forbidden');
  assert.equal(await ask({ operator: 'nobody' }), 'operator.unknown');
  assert.equal(await ask({ shares: shares.slice(1) }), 'backup.malformed');
  assert.equal(await ask({ shares: shares.toReversed() }), 'backup.malformed');
  assert.equal(
    await ask({ shares: [...shares.slice(1), { ...shares[0], name: 'mallory' }] }),
    'backup.custodian-unknown',
  );
  assert.equal(await ask({ checkpoint: manifest.checkpoint?.replace(/\n\d+\n/, '\n999\n') }), 'note.signature-invalid');
  assert.equal(await ask({ threshold: 1 }), 'request.malformed');
  hostile.end();
  // A private key that somebody laid among the public files is found, and nothing is written.
  const { pkcs8 } = generateSoftwareKey('P-256');
  const pem = pkcs8.use((bytes) => `-----BEGIN PRIVATE KEY-----\n${Buffer.from(bytes).toString('base64')}\n`);
  const laid = join(bed.layout.trust, 'laid.pem');
  writeFileSync(laid, pem);
  await assert.rejects(bed.create('laid.ksb'), { code: 'backup.signing-key-forbidden', field: 'trust/laid.pem' });
  writeFileSync(laid, '');
  assert.deepEqual(
    readdirSync(bed.folder).filter((name) => name.includes('laid')),
    [],
  );
});

test('the plaintext hash and the size of the master say nothing of it', async () => {
  const again = await bed.create();
  const master = (one: SignedBackup) => one.manifest.members.find(({ path }) => path === 'master/keyd');
  assert.notEqual(master(backup)?.sha256, master(again)?.sha256);
  assert.equal(master(backup)?.bytes, master(again)?.bytes);
  using long = SecretBytes.random(4000);
  const member = masterMember(long);
  assert.equal(member.length, master(backup)?.bytes);
  assert.deepEqual(masterOf(member).use(toHex), long.use(toHex));
});

test('a backup is never written over a file, and what a killed one left is removed by the next', async () => {
  writeFileSync(bed.path('there.ksb'), 'mine');
  await assert.rejects(bed.create('there.ksb'), { code: 'backup.exists' });
  assert.equal(readFileSync(bed.path('there.ksb'), 'utf8'), 'mine');
  writeFileSync(bed.path('.next.ksb.0123456789abcdef.tmp'), 'half');
  const snapshot = join(bed.layout.data, 'store', '.backup-0123456789abcdef.db');
  writeFileSync(snapshot, 'half');
  await bed.create('next.ksb');
  assert.deepEqual(
    readdirSync(bed.folder).filter((name) => name.startsWith('.next')),
    [],
  );
  assert.deepEqual(
    readdirSync(join(bed.layout.data, 'store')).filter((name) => name.startsWith('.backup')),
    [],
  );
});

test('records that do not agree with what keyd signed are not backed up', async () => {
  await bed.closeRooms();
  const database = new DatabaseSync(bed.layout.database);
  const kept = database.prepare('select leaf_hash from audit_entry where seq = 3').get();
  database.exec("update audit_entry set leaf_hash = x'00' where seq = 3");
  await bed.openRooms();
  await assert.rejects(bed.create('altered.ksb'), { code: 'backup.state-inconsistent', seen: 'entry 3' });
  database.prepare('update audit_entry set leaf_hash = ? where seq = 3').run(kept?.leaf_hash ?? null);
  database.close();
  assert.ok(!existsSync(bed.path('altered.ksb')));
});
