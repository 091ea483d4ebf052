import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { after, test } from 'node:test';
import type { DerSpki } from '@keystead/core/bytes';
import { SimulatedClock } from '@keystead/core/clock';
import { randomBytes, spkiSha256 } from '@keystead/core/crypto';
import { dsse, type ImageBytes, imageOf, MCUBOOT } from '@keystead/core/firmware';
import { readCertificate } from '@keystead/core/x509';
import { SigningPki } from '../../core/firmware/tests/cms-signing.ts';
import { SigningKey, wholeOf } from '../../core/firmware/tests/signing-key.ts';
import { contentWith, DAY, NOW, newRoot, newSigner } from '../../core/trust/tests/bundle-source.ts';
import { CarriedTrust, type FirmwareOffer, verifyFirmware } from '../index.ts';

const pki = new SigningPki({ named: 'P-256', other: 'P-256' });
after(() => rmSync(pki.path('.'), { recursive: true }));
const clock = new SimulatedClock(NOW);
const spkiOf = (name: string): DerSpki => readCertificate(pki.certificate(name)).spki;
const keys = ['named', 'other'].map(spkiOf);
const root = await newRoot();

/** A bundle that names one key for the product, and the least counter. */
const trustWith = (minimumSecurityCounter: number): CarriedTrust =>
  new CarriedTrust(
    contentWith(newSigner(), root, {
      firmware: [{ product: 'pump-a', signers: [spkiSha256(spkiOf('named'))], minimumSecurityCounter }],
    }),
    undefined,
  );
const open = trustWith(0);

async function ruleOf(offer: Omit<FirmwareOffer, 'product'>, trust = open, product = 'pump-a'): Promise<string> {
  const verdict = await verifyFirmware({ product, ...offer }, trust, clock);
  return verdict.ok ? 'ok' : verdict.rule;
}

const bytes = new Uint8Array(randomBytes(3_000_000));
const image = imageOf(bytes);
const changed = imageOf(bytes.with(2_000_000, (bytes[2_000_000] ?? 0) ^ 1));
pki.write('image', bytes);

/** Each format: the offer of an image that a key has signed, and the same with another octet in it. */
type Signed = (name: string) => Promise<[offer: Omit<FirmwareOffer, 'product'>, changed: ImageBytes]>;
async function raucBundle(format: 'rauc' | 'rauc-verity', kind: string, name: string): ReturnType<Signed> {
  mkdirSync(pki.path('content'), { recursive: true });
  pki.write('content/rootfs.ext4', bytes.subarray(0, 100_000));
  pki.write(
    'content/manifest.raucm',
    `[update]\ncompatible=pump\nversion=1\n\n[bundle]\nformat=${kind}\n\n[image.rootfs]\nfilename=rootfs.ext4\n`,
  );
  rmSync(pki.path('update.raucb'), { force: true });
  const key = [`--cert=${pki.path(`${name}.pem`)}`, `--key=${pki.path(`${name}.key`)}`];
  pki.run('rauc', ...key, 'bundle', 'content', 'update.raucb');
  const whole = pki.read('update.raucb');
  return [{ format, image: imageOf(whole) }, imageOf(whole.with(5000, (whole[5000] ?? 0) ^ 1))];
}
const FORMATS: Readonly<Record<FirmwareOffer['format'], Signed>> = {
  cms: async (name) => {
    const certificate = ['-signer', `${name}.pem`, '-inkey', `${name}.key`];
    pki.run(
      'openssl',
      'cms',
      '-sign',
      '-binary',
      '-in',
      'image',
      ...certificate,
      '-outform',
      'DER',
      '-out',
      'image.p7s',
    );
    return [{ format: 'cms', image, signature: pki.read('image.p7s') }, changed];
  },
  rauc: (name) => raucBundle('rauc', 'plain', name),
  'rauc-verity': (name) => raucBundle('rauc-verity', 'verity', name),
  sshsig: async (name) => {
    pki.run('cp', `${name}.key`, 'ssh.key');
    pki.run('chmod', '600', 'ssh.key');
    pki.run('ssh-keygen', '-p', '-q', '-N', '', '-f', 'ssh.key');
    rmSync(pki.path('image.sig'), { force: true });
    pki.run('ssh-keygen', '-q', '-Y', 'sign', '-n', 'firmware', '-f', 'ssh.key', 'image');
    return [{ format: 'sshsig', image, signature: pki.read('image.sig') }, changed];
  },
  dsse: async (name) => {
    const parameters = { predicateType: 'spdx', predicate: '{}', name: 'rootfs' };
    const statement = (await dsse.prepare?.(image, parameters)) ?? assert.fail('no statement');
    return [{ format: 'dsse', image, keys, signature: await pki.sign(dsse, statement, name) }, changed];
  },
  mcuboot: async (name) => {
    const parameters = { version: '1.2.3', 'header-size': '64', 'security-counter': '5' };
    const unsigned = (await MCUBOOT.prepare?.(imageOf(bytes.subarray(0, 5000)), parameters)) ?? assert.fail('no image');
    const whole = new Uint8Array(await pki.sign(MCUBOOT, unsigned, name));
    return [{ format: 'mcuboot', image: imageOf(whole), keys }, imageOf(whole.with(900, (whole[900] ?? 0) ^ 1))];
  },
};

for (const [format, signed] of Object.entries(FORMATS)) {
  test(`TEST-KEY-10 firmware as ${format} is taken from the key that the bundle names, and from no other`, async () => {
    const [offer, other] = await signed('named');
    assert.equal(await ruleOf(offer), 'ok');
    const refusal = await ruleOf({ ...offer, image: other });
    // Of these the image is held to what is signed by a digest that stands beside it, before the signature is looked at.
    assert.equal(refusal, ['mcuboot', 'rauc-verity'].includes(format) ? 'malformed' : 'signature');
    const [foreign] = await signed('other');
    assert.equal(await ruleOf(foreign), 'signer');
    assert.equal(await ruleOf(offer, open, 'pump-b'), 'product');
    const { signature } = offer;
    const cut = format.startsWith('rauc') || format === 'mcuboot' ? { image: imageOf(bytes.subarray(0, 64)) } : {};
    for (const length of [0, 1, 40]) {
      const short = signature === undefined ? cut : { signature: signature.subarray(0, length) };
      assert.equal(await ruleOf({ ...offer, ...short }), 'malformed', `${length}`);
    }
  });
}

test('TEST-KEY-10 a verity bundle whose manifest was changed under its signature is refused, although its hash tree is right', async () => {
  await raucBundle('rauc-verity', 'verity', 'named');
  const whole = Buffer.from(pki.read('update.raucb'));
  whole.write('version=2', whole.lastIndexOf('version=1'));
  assert.equal(await ruleOf({ format: 'rauc-verity', image: imageOf(whole) }), 'signature');
});

test('TEST-KEY-10 firmware with a lower security counter than the bundle takes is refused, also where nothing says one', async () => {
  const [inside] = await FORMATS.mcuboot('named');
  assert.deepEqual(await Promise.all([5, 6].map((least) => ruleOf(inside, trustWith(least)))), ['ok', 'counter']);
  assert.equal(await ruleOf({ ...inside, securityCounter: 99 }, trustWith(6)), 'counter', 'the image itself says 5');
  const [offer] = await FORMATS.sshsig('named');
  assert.equal(await ruleOf(offer, trustWith(6)), 'counter-missing');
  assert.equal(await ruleOf({ ...offer, securityCounter: 5 }, trustWith(6)), 'counter');
  assert.equal(await ruleOf({ ...offer, securityCounter: 6 }, trustWith(6)), 'ok');
});

test('TEST-KEY-10 firmware as mcuboot is taken by RSA-2048 and RSA-3072 as MCUboot has them: RSASSA-PSS with a salt of 32, and nothing near it [openssl: MCUboot RSA-2048 sign, MCUboot RSA-3072 sign]', async () => {
  for (const algorithm of ['RSA-2048', 'RSA-3072'] as const) {
    const key = new SigningKey(algorithm, 'RSASSA-PSS-SHA256');
    try {
      const trust = new CarriedTrust(
        contentWith(newSigner(), root, {
          firmware: [{ product: 'pump-a', signers: [spkiSha256(key.spki)], minimumSecurityCounter: 0 }],
        }),
        undefined,
      );
      const parameters = { version: '1.2.3', 'header-size': '64' };
      const unsigned = await MCUBOOT.prepare?.(imageOf(bytes.subarray(0, 5000)), parameters);
      assert.ok(unsigned !== undefined);
      const { subject } = await MCUBOOT.read(unsigned);
      writeFileSync(key.file('subject'), subject);
      const signedBy = async (...padding: string[]): Promise<Uint8Array> => {
        const options = padding.flatMap((one) => ['-sigopt', one]);
        const signature = execFileSync('openssl', ['dgst', '-sha256', '-sign', 'dev.key', ...options, 'subject'], {
          cwd: key.directory,
        });
        return wholeOf(MCUBOOT.assemble(unsigned, subject, [{ ...key.terms, signature: new Uint8Array(signature) }]));
      };
      const ruleFor = (whole: Uint8Array, held = [key.spki]): Promise<string> =>
        ruleOf({ format: 'mcuboot', image: imageOf(whole), keys: held }, trust);
      const whole = await signedBy('rsa_padding_mode:pss', 'rsa_pss_saltlen:32');
      assert.equal(await ruleFor(whole), 'ok', algorithm);
      assert.equal(await ruleFor(whole, keys), 'signature', 'a key that is not here');
      assert.equal(await ruleFor(whole.with(900, (whole[900] ?? 0) ^ 1)), 'malformed', 'another image');
      assert.equal(await ruleFor(whole.with(whole.length - 9, (whole.at(-9) ?? 0) ^ 1)), 'signature', 'its signature');
      assert.equal(await ruleFor(await signedBy('rsa_padding_mode:pss', 'rsa_pss_saltlen:20')), 'signature', 'salt');
      assert.equal(await ruleFor(await signedBy()), 'signature', 'PKCS #1 v1.5');
      // The signature of one size under the type of the other (TLV 0x20 is RSA-2048, 0x23 RSA-3072).
      const at = whole.length - Number(algorithm.slice(4)) / 8 - 4;
      assert.equal(await ruleFor(whole.with(at, algorithm === 'RSA-2048' ? 0x23 : 0x20)), 'signature', 'type');
    } finally {
      rmSync(key.directory, { recursive: true });
    }
  }
});

test('no firmware is taken by a bundle that has expired, nor by a signature for another purpose', async () => {
  const [offer] = await FORMATS.sshsig('named');
  rmSync(pki.path('image.sig'));
  pki.run('ssh-keygen', '-q', '-Y', 'sign', '-n', 'file', '-f', 'ssh.key', 'image');
  assert.equal(await ruleOf({ ...offer, signature: pki.read('image.sig') }), 'signature');
  clock.advance(31 * DAY);
  assert.equal(await ruleOf(offer), 'trust-expired');
});
