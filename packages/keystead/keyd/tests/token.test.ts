import assert from 'node:assert/strict';
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import type { DerCertificate } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import { OcspIssuer, readCrl, readOcspResponse } from '@keystead/core/x509';
import type { Result } from '../../keyd-client/index.ts';
import { writeKeystoreConfig } from '../../keystore/index.ts';
import { SoftHsm } from '../../keystore/pkcs11/tests/softhsm.ts';
import { KEYD_KEYS } from '../init.ts';
import { KEYD_PASSPHRASE, KeydBed, makeKey } from './bed.ts';

/** keyd with every key of its own on a token: a real SoftHSM, whose user PIN is what keyd is given as passphrase. */
let hsm: SoftHsm;
let bed: KeydBed;
let trust: Result<'trust'>;
before(async () => {
  hsm = new SoftHsm();
  hsm.addToken('keyd', KEYD_PASSPHRASE);
  bed = await KeydBed.make({}, ({ keyd }) => {
    mkdirSync(keyd, { recursive: true, mode: 0o700 });
    writeKeystoreConfig(keyd, hsm.config({ token: { label: 'keyd' } }));
  });
  trust = await bed.client.trust();
});
after(async () => {
  await bed.remove();
  hsm.remove();
});

/** The code and kind of what an answer was refused with; undefined for one that was not. */
async function refusal(answer: Promise<unknown>): Promise<{ code: string; kind: string } | undefined> {
  try {
    await answer;
    return undefined;
  } catch (error) {
    if (error instanceof KeysteadError) return { code: error.code, kind: error.kind };
    throw error;
  }
}

const leaf = (): Uint8Array[] => [new Uint8Array(32).fill(7)];

test('TEST-KEY-11: keyd makes its nine keys on the token, and its directory holds none', () => {
  const { text } = hsm.tool('keyd', '--pin', KEYD_PASSPHRASE, '--list-objects', '--type', 'privkey');
  for (const id of Object.keys(KEYD_KEYS)) assert.match(text, new RegExp(`label: +${id}\\n`));
  assert.equal(text.match(/sensitive, always sensitive, never extractable, local/g)?.length, 9);
  assert.equal(existsSync(join(bed.dir, 'keystore.sealed')), false);
});

test('TEST-KEY-11: keyd on a token provisions, issues, lists, answers and dates the log', async () => {
  const unit = await bed.provision('KS-0001', await bed.ticket());
  const { serial } = await bed.enrol('KS-0001', unit.certificate);
  const issuer = trust.certificates.operational as DerCertificate;
  const { crl } = await bed.client.signCrl({ issuer: 'operational', number: 1, entries: [] });
  assert.equal(readCrl(crl).number, 1);
  const certId = new OcspIssuer(issuer).certId(serial);
  const { response } = await bed.client.signOcsp({ issuer: 'operational', responses: [{ certId, status: 'good' }] });
  assert.equal(readOcspResponse(response, { issuer, serial, now: bed.clock.now() }).status, 'good');
  assert.equal((await bed.client.signCheckpoint({ size: 0, leaves: leaf() })).size, 1);
});

test('while the token is out, what needs it is refused as unavailable, and keyd heals without a restart', async () => {
  const key = makeKey();
  const ticket = await bed.ticket();
  const size = (await bed.client.status()).log.size;
  hsm.unplug();
  const away = { code: 'keystore.token-absent', kind: 'unavailable' };
  assert.deepEqual(await refusal(bed.provision('KS-0002', ticket, key)), away);
  assert.deepEqual(await refusal(bed.client.signCrl({ issuer: 'operational', number: 2, entries: [] })), away);
  assert.deepEqual(await refusal(bed.client.signCheckpoint({ size, leaves: leaf() })), away);
  // What needs no key of the token goes on.
  assert.equal((await bed.client.status()).log.size, size);
  hsm.plug();
  for (let tries = 0; (await refusal(bed.client.signCheckpoint({ size, leaves: leaf() }))) !== undefined; tries += 1) {
    assert.ok(tries < 500, 'the token is back');
    await pause(10);
  }
  assert.equal((await bed.client.status()).log.size, size + 1);
  // The device that was refused asks again with the same key, and its unit was not lost.
  const unit = await bed.provision('KS-0002', ticket, key);
  await bed.enrol('KS-0002', unit.certificate);
  const { crl } = await bed.client.signCrl({ issuer: 'operational', number: 3, entries: [] });
  assert.equal(readCrl(crl).number, 3);
});

test('keyd without its token does not start and says why; started again it goes on', async () => {
  await bed.stop();
  hsm.unplug();
  await assert.rejects(bed.start(), { code: 'keystore.module-unusable' });
  hsm.plug();
  await bed.start();
  await bed.client.signCrl({ issuer: 'operational', number: 4, entries: [] });
});
