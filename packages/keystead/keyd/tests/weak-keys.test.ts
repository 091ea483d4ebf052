import assert from 'node:assert/strict';
import { createHash, createPublicKey } from 'node:crypto';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { generateSoftwareKey, softwareSigner } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { certificationRequest } from '@keystead/core/x509';
import { outcomeOfError } from '../../provisioning/index.ts';
import { weakKeyDirectory } from '../weak-keys.ts';
import { KeydBed, makeKey } from './bed.ts';

let bed: KeydBed;
before(async () => {
  bed = await KeydBed.make();
});
after(() => bed.remove());

/** As `openssl rsa -modulus | sha1sum | cut -c 21-40` has it. */
function fingerprint(spki: Uint8Array): string {
  const { n = '' } = createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' }).export({ format: 'jwk' });
  const modulus = Buffer.from(n, 'base64url').toString('hex').toUpperCase();
  return createHash('sha1').update(`Modulus=${modulus}\n`).digest('hex').slice(20);
}

test('TEST-KEY-19 keyd refuses a key on the list that the deployment gave it, for a unit, for a device in the field and when its own threads check, and certifies all others', async () => {
  const { spki, pkcs8 } = generateSoftwareKey('RSA-3072');
  const weak = { spki, signer: softwareSigner('RSA-3072', pkcs8) };
  await bed.stop();
  mkdirSync(weakKeyDirectory(bed.dir));
  writeFileSync(join(weakKeyDirectory(bed.dir), 'blacklist.RSA-3072'), `# made by the test\n${fingerprint(spki)}\n`);
  await bed.start();
  const ticket = await bed.ticket();
  const csr = await certificationRequest('KS-0001', weak.signer);
  const unit = { ticket, deviceId: 'KS-0001', csr, station: 'station-1', operator: 'lin', line: 'line-1' };
  const refusal = await bed.client.provision({ ...unit, requestId: 'weak' }).catch((error: unknown) => error);
  assert.ok(refusal instanceof KeysteadError);
  assert.deepEqual([outcomeOfError(refusal).name, refusal.code], ['key-refused', 'key.known-compromised']);
  const many = await Promise.allSettled(
    Array.from({ length: 12 }, (_, n) => bed.client.provision({ ...unit, requestId: `weak-${n}` })),
  );
  assert.ok(many.every(({ status }) => status === 'rejected'));
  assert.deepEqual((await bed.client.status()).tickets, []);
  const good = await bed.provision('KS-0001', ticket, makeKey());
  const renewal = bed.enrol('KS-0001', good.certificate, { ...makeKey(), ...weak });
  await assert.rejects(renewal, { code: 'key.known-compromised' });
  await bed.enrol('KS-0001', good.certificate);
});

test('a keyd that cannot read a list of weak keys does not start, and names the list and the line', async () => {
  await bed.stop();
  const path = join(weakKeyDirectory(bed.dir), 'blacklist.RSA-4096');
  writeFileSync(path, '8df20e6961a16398b85a\n8df20e69');
  await assert.rejects(bed.start(), { code: 'key-list.malformed', field: `${path} line 2` });
  rmSync(path);
  mkdirSync(path);
  await assert.rejects(bed.start(), { code: 'key-list.malformed', field: path });
  rmSync(path, { recursive: true });
  await bed.start();
});
