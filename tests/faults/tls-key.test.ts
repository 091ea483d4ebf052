import assert from 'node:assert/strict';
import type { X509Certificate } from 'node:crypto';
import { statSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { after, before, test } from 'node:test';
import { connect } from 'node:tls';
import type { TlsKeyView } from 'keystead/protocols/rest/tls-key.ts';
import { readOnly } from 'keystead/store/index.ts';
import { Rig } from './rig.ts';

/** serve's TLS key through kills, restarts, a seal that does not open, and a revocation; serve and keyd are processes. */
let rig: Rig;
const META = 'serve.tls-keys';
/** What was kept when the first serve was killed. */
let founded: Kept[] = [];

interface Kept {
  use: string;
  spkiSha256: string;
  sealed: string;
}

before(async () => {
  rig = await Rig.make({
    async beforeServe(half) {
      // Killed at once when the first key is kept, and before it has a certificate; before that, at other moments.
      for (const wait of [200, 600, undefined]) {
        half.launch('serve');
        half.ready('serve').catch(() => {});
        const end = Date.now() + (wait ?? 60_000);
        while (Date.now() < end && (wait !== undefined || !hasBegun(half) || kept(half).length === 0)) await pause();
        await half.kill('serve');
      }
      founded = kept(half);
    },
  });
});
after(() => rig.remove());

const pause = (ms = 5): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/**
 * Whether serve has written to its database. Before that nobody may look: root's read-only look would make the file that
 * they share, and for a moment it would be root's.
 */
const hasBegun = ({ layout }: Rig): boolean =>
  (statSync(`${layout.database}-wal`, { throwIfNoEntry: false })?.size ?? 0) > 0;

/** As the records have them; none before there is a database. */
function kept({ layout }: Rig): Kept[] {
  try {
    return JSON.parse(readOnly(layout.database, (records) => records.meta(META)) ?? '[]') as Kept[];
  } catch {
    return [];
  }
}

/** The certificate that serve shows. */
const shown = (): Promise<X509Certificate> =>
  new Promise((resolve, reject) => {
    const { https: port } = rig.world.config.ports;
    const socket = connect({ port, host: '127.0.0.1', servername: 'localhost', rejectUnauthorized: false }, () => {
      resolve(socket.getPeerX509Certificate() ?? assert.fail('no certificate'));
      socket.destroy();
    });
    socket.on('error', reject);
  });
const pinOf = async (certificate: X509Certificate): Promise<string> => {
  const spki = certificate.publicKey.export({ format: 'der', type: 'spki' });
  return Buffer.from(await crypto.subtle.digest('SHA-256', new Uint8Array(spki))).toString('hex');
};
const pin = async (): Promise<string> => pinOf(await shown());
const view = async (): Promise<TlsKeyView> =>
  JSON.parse((await rig.rest('GET', '/tls-key', rig.person('pki'))).text) as TlsKeyView;
const rows = () => readOnly(rig.layout.database, (records) => records.keys('', 1000));
const post = async (path: string, body: object) => {
  const { status, text } = await rig.rest('POST', path, rig.person('pki'), body);
  return { status, body: JSON.parse(text) as TlsKeyView & { error?: { code: string } } };
};
const healthz = async (): Promise<Record<string, unknown>> =>
  JSON.parse((await rig.https('GET', '/healthz', {})).text) as Record<string, unknown>;

test('TEST-KEY-16 serve that is killed while it makes its first TLS key goes on with that key, and makes no second one', async () => {
  const [current, backup] = [founded.find(({ use }) => use === 'current'), founded.find(({ use }) => use === 'backup')];
  assert.ok(current !== undefined && backup !== undefined && founded.length === 2);
  assert.equal(await pin(), current.spkiSha256);
  const made = rows().filter(({ purpose }) => purpose === 'tls-server');
  assert.deepEqual(made.map(({ state, custody }) => [state, custody]).sort(), [
    ['active', 'sealed-file'],
    ['pre-activation', 'sealed-file'],
  ]);
  for (const { sealed } of founded) {
    const bytes = Buffer.from(sealed, 'base64');
    // The object identifier of P-256, which stands in each PKCS#8 of such a key.
    assert.equal(bytes.includes(Buffer.from('2a8648ce3d030107', 'hex')), false);
  }
});

test('TEST-KEY-16 key and certificate are the same after an end in order, after kill -9 of serve, and after kill -9 of both', async () => {
  const before = await shown();
  await rig.restart('serve');
  assert.equal((await shown()).fingerprint256, before.fingerprint256);
  await rig.kill('serve');
  await rig.start('serve');
  assert.equal((await shown()).fingerprint256, before.fingerprint256);
  await rig.kill('serve', 'keyd');
  await rig.start('keyd');
  await rig.start('serve');
  assert.equal((await shown()).fingerprint256, before.fingerprint256);
  assert.equal('tlsKey' in (await healthz()), false);
});

test('TEST-KEY-16 the next key is shown only when people say so, and then the old one is gone', async () => {
  const old = await pin();
  const prepared = await post('/tls-key/prepared', { use: 'next' });
  assert.equal(prepared.status, 200);
  const next = prepared.body.keys.find(({ use }) => use === 'next')?.spkiSha256 ?? assert.fail('no next');
  assert.equal((await post('/tls-key/prepared', { use: 'next' })).body.error?.code, 'tls-key.exists');
  await rig.kill('serve');
  await rig.start('serve');
  assert.equal(await pin(), old, 'a restart changes nothing');
  assert.equal((await post('/tls-key/use', { key: old })).body.error?.code, 'tls-key.unknown');
  assert.equal((await post('/tls-key/use', { key: next })).status, 200);
  assert.equal(await pin(), next);
  await rig.kill('serve');
  await rig.start('serve');
  assert.equal(await pin(), next);
  assert.equal(
    kept(rig).some(({ spkiSha256 }) => spkiSha256 === old),
    false,
  );
  const row = rows().find(({ spkiSha256 }) => spkiSha256 === old);
  assert.equal(row?.state, 'destroyed');
});

test('TEST-KEY-16 a key whose seal does not open is not shown and not thrown away: serve says why, people put the backup in its place', async () => {
  await rig.stop('serve');
  const all = kept(rig);
  const current = all.find(({ use }) => use === 'current') ?? assert.fail('none');
  const backup = all.find(({ use }) => use === 'backup') ?? assert.fail('none');
  const bytes = Buffer.from(current.sealed, 'base64');
  bytes[40] = (bytes[40] ?? 0) ^ 1;
  write(all.map((one) => (one === current ? { ...one, sealed: bytes.toString('base64') } : one)));
  await rig.start('serve');
  assert.equal((await healthz()).tlsKey, 'tls-key.unreadable');
  const moment = await pin();
  assert.equal(
    all.some(({ spkiSha256 }) => spkiSha256 === moment),
    false,
  );
  const told = await view();
  assert.deepEqual([told.shown?.kept, told.problem?.code], [false, 'tls-key.unreadable']);
  assert.match(String(told.problem?.remedy), /restore .* or put a key that opens in its place/);
  assert.equal(kept(rig).find(({ use }) => use === 'current')?.spkiSha256, current.spkiSha256);
  // One key's seal opens no other's.
  await rig.stop('serve');
  write(all.map((one) => (one === current ? { ...one, sealed: backup.sealed } : one)));
  await rig.start('serve');
  assert.equal((await healthz()).tlsKey, 'tls-key.unreadable');
  assert.equal((await post('/tls-key/use', { key: backup.spkiSha256 })).status, 200);
  assert.equal(await pin(), backup.spkiSha256);
  assert.equal('tlsKey' in (await healthz()), false);
});

test('TEST-KEY-16 a key whose certificate is revoked for its compromise is shown no longer, without a restart, and after one', async () => {
  const old = await pin();
  const { serial } = (await view()).shown?.certificate ?? assert.fail('none');
  const revoked = await rig.rest('POST', '/revocations', rig.person('pki'), {
    ...{ serial, issuer: 'server', reason: 'keyCompromise' },
  });
  assert.equal(revoked.status, 200, revoked.text);
  for (let turn = 0; turn < 400 && (await pin()) === old; turn += 1) await pause(25);
  assert.notEqual(await pin(), old);
  assert.equal((await view()).problem?.code, 'tls-key.revoked');
  await rig.restart('serve');
  assert.notEqual(await pin(), old);
  assert.equal((await healthz()).tlsKey, 'tls-key.revoked');
  const row = rows().find(({ spkiSha256 }) => spkiSha256 === old);
  assert.equal(row?.state, 'compromised');
  const next = (await post('/tls-key/prepared', { use: 'next' })).body.keys.find(({ use }) => use === 'next');
  assert.equal((await post('/tls-key/use', { key: next?.spkiSha256 })).status, 200);
  assert.equal(await pin(), next?.spkiSha256);
});

function write(all: readonly Kept[]): void {
  const database = new DatabaseSync(rig.layout.database);
  database.prepare('update meta set value = ? where key = ?').run(JSON.stringify(all), META);
  database.close();
}
