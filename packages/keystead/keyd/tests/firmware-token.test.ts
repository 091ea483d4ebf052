import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { toPem } from '@keystead/core/bytes';
import { readCertificate } from '@keystead/core/x509';
import { writeKeystoreConfig } from '../../keystore/index.ts';
import { SoftHsm } from '../../keystore/pkcs11/tests/softhsm.ts';
import { KEYD_PASSPHRASE } from './bed.ts';
import { changePolicy, firmwareIn, firmwareOf, signImage } from './firmware-algorithms-bed.ts';
import { FirmwareBed } from './firmware-bed.ts';

/** keyd with every key of its own on a token, RSA keys for firmware among them. */
let hsm: SoftHsm;
let bed: FirmwareBed;
let dir: string;
before(async () => {
  dir = mkdtempSync(join(tmpdir(), 'keystead-fk-token-'));
  hsm = new SoftHsm();
  hsm.addToken('keyd', KEYD_PASSPHRASE);
  const keys = {
    'rsa-4096': { algorithm: 'RSA-4096', signature: 'sha256WithRSAEncryption' },
    'rsa-pss': { algorithm: 'RSA-3072', signature: 'RSASSA-PSS-SHA256' },
  } as const;
  bed = await FirmwareBed.make({ firmware: firmwareOf(keys, ['cms', 'dsse', 'mcuboot']) }, ({ keyd }) => {
    mkdirSync(keyd, { recursive: true, mode: 0o700 });
    writeKeystoreConfig(keyd, hsm.config({ token: { label: 'keyd' } }));
  });
});
after(async () => {
  await bed.keyd.remove();
  hsm.remove();
  rmSync(dir, { recursive: true, force: true });
});
const at = (name: string): string => join(dir, name);
const openssl = (...args: string[]): string => execFileSync('openssl', args, { encoding: 'utf8', stdio: 'pipe' });

test('TEST-KEY-11 TEST-KEY-22 RSA keys for firmware are made on the token and certified in the founding, and openssl verifies what keyd signs by them [openssl: CMS verify RSA-4096 on a token, MCUboot RSA-3072 verify]', async () => {
  const { text } = hsm.tool('keyd', '--pin', KEYD_PASSPHRASE, '--list-objects', '--type', 'privkey');
  for (const id of ['firmware-rsa-4096', 'firmware-rsa-pss']) assert.match(text, new RegExp(`label: +${id}\\n`));
  writeFileSync(at('content'), 'an image');
  const { signed } = await signImage(bed, 'cms', Buffer.from('an image'), ['rsa-4096']);
  writeFileSync(at('detached'), signed);
  const { certificates } = await bed.keyd.client.trust();
  assert.ok(certificates['signing-root']);
  writeFileSync(at('root.pem'), toPem('CERTIFICATE', certificates['signing-root']));
  const time = String(Math.floor(bed.keyd.clock.now().getTime() / 1000));
  const files = ['-in', at('detached'), '-content', at('content'), '-CAfile', at('root.pem'), '-out', '/dev/null'];
  openssl('cms', '-verify', '-inform', 'DER', '-binary', '-purpose', 'any', '-attime', time, ...files);

  const parameters = { version: '1.2.3', 'header-size': '0x20' };
  const { made, subject } = await signImage(bed, 'mcuboot', Buffer.from('code'), ['rsa-pss'], { parameters });
  const [one] = made;
  assert.ok(one);
  writeFileSync(at('key.pem'), toPem('PUBLIC KEY', readCertificate(one.signer).spki));
  writeFileSync(at('message'), subject);
  writeFileSync(at('signature'), one.signature);
  const pss = ['-sigopt', 'rsa_padding_mode:pss', '-sigopt', 'rsa_pss_saltlen:32'];
  const said = openssl(
    'dgst',
    '-sha256',
    ...pss,
    '-verify',
    at('key.pem'),
    '-signature',
    at('signature'),
    at('message'),
  );
  assert.match(said, /Verified OK/);
});

test('a policy that asks for a key against quantum computers on a token is refused with the key, and the one before stays in force', async () => {
  const { policy } = await bed.keyd.client.trust();
  const added = changePolicy(bed, (next) => {
    next.algorithms.push('ML-DSA-65');
    for (const profile of next.profiles) if (profile.id === 'firmware-signer') profile.keyAlgorithms.push('ML-DSA-65');
    const { keys, products } = firmwareIn(next);
    const [first] = keys;
    assert.ok(first);
    const { signature: _signature, ...parts } = first;
    keys.push({ ...parts, id: 'quantum', algorithm: 'ML-DSA-65' });
    products[0]?.environments.production?.keys.push('quantum');
  });
  await assert.rejects(added, { code: 'keystore.mechanism-unsupported', message: /quantum.*ML-DSA-65/ });
  assert.deepEqual((await bed.keyd.client.trust()).policy, policy);
  await bed.keyd.restart();
});
