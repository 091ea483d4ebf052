import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { generateSoftwareKey, SecretBytes } from '@keystead/core/crypto';
import { systemClock } from '../../clock/system.ts';
import { createSealedKeystore } from '../../keystore/index.ts';
import { pin, SoftHsm } from '../../keystore/pkcs11/tests/softhsm.ts';
import { decryptWith, encryptTo } from '../age.ts';
import { makeTokenKey, tokenIdentity, withCustodianKeystore } from '../index.ts';

const hsm = new SoftHsm('one');
after(() => hsm.remove());
const file = join(hsm.dir, 'my-token.json');
writeFileSync(file, JSON.stringify(hsm.config()));

test("a custodian's key on a PKCS#11 token opens what is encrypted to its recipient, and another's key does not", async () => {
  const recipient = await withCustodianKeystore(file, pin(), systemClock, (token) => makeTokenKey(token));
  assert.match(recipient, /^age1tag1/);
  const other = await withCustodianKeystore(file, pin(), systemClock, (token) => makeTokenKey(token, 'another'));
  const share = SecretBytes.take(Buffer.from('a share'));
  const sealed = await encryptTo(recipient, share);
  await withCustodianKeystore(file, pin(), systemClock, async (token) => {
    const opened = await decryptWith([tokenIdentity(token)], sealed);
    assert.equal(
      opened?.use((bytes) => Buffer.from(bytes).toString()),
      'a share',
    );
    assert.equal(await decryptWith([tokenIdentity(token, 'another')], sealed), undefined);
    assert.equal(await decryptWith([tokenIdentity(token)], await encryptTo(other, share)), undefined);
  });
});

test('a wrong PIN, a key that is not there and a keystore that only signs are told', async () => {
  const open = (secret = pin()) =>
    withCustodianKeystore(file, secret, systemClock, async (t) => tokenIdentity(t, 'none'));
  await assert.rejects(open(), { code: 'keystore.key-missing' });
  await assert.rejects(open(pin('00000')), { code: /^keystore\./ });
  const path = join(hsm.dir, 'keystore.sealed');
  const secret = SecretBytes.take(Buffer.from('a passphrase'));
  (await createSealedKeystore(path, secret, systemClock)).close();
  const sealed = join(hsm.dir, 'sealed.json');
  writeFileSync(sealed, JSON.stringify({ version: 1, make: 'sealed', path }));
  await assert.rejects(
    withCustodianKeystore(sealed, secret, systemClock, async () => generateSoftwareKey('P-256')),
    { code: 'key.algorithm-mismatch' },
  );
});
