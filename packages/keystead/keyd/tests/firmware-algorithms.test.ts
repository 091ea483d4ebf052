import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type DerCertificate, toHex, toPem } from '@keystead/core/bytes';
import { sha256, sshKeyBlob } from '@keystead/core/crypto';
import { firmwareFormat, imageOf, raucVerity } from '@keystead/core/firmware';
import { readCertificate } from '@keystead/core/x509';
import { changePolicy, firmwareIn, firmwareOf, signImage } from './firmware-algorithms-bed.ts';
import { FirmwareBed } from './firmware-bed.ts';

/** keyd with a sealed keystore that has a key of every kind by which U-Boot, UEFI, RAUC and MCUboot verify. */
const KEYS = {
  'rsa-3072': { algorithm: 'RSA-3072' },
  'rsa-4096': { algorithm: 'RSA-4096', signature: 'sha256WithRSAEncryption' },
  'rsa-pss': { algorithm: 'RSA-3072', signature: 'RSASSA-PSS-SHA256' },
  'p-384': { algorithm: 'P-384', signature: 'ecdsa-with-SHA256' },
  'p-384-own': { algorithm: 'P-384' },
} as const;
const UBOOT = '/usr/lib/u-boot/qemu-riscv64_smode/u-boot.bin';
const firmware = new Uint8Array(readFileSync(UBOOT));
let bed: FirmwareBed;
let dir: string;
before(async () => {
  dir = mkdtempSync(join(tmpdir(), 'keystead-fk-alg-'));
  bed = await FirmwareBed.make({
    firmware: firmwareOf({ ...KEYS, verity: { algorithm: 'RSA-3072', formats: ['rauc-verity'] } }, [
      'fit',
      'cms',
      'rauc',
      'authenticode',
      'mcuboot',
      'sshsig',
      'dsse',
      'cose',
    ]),
  });
});
after(async () => {
  await bed.keyd.remove();
  rmSync(dir, { recursive: true, force: true });
});

const at = (name: string): string => join(dir, name);
const run = (command: string, ...args: string[]): string =>
  execFileSync(command, args, { cwd: dir, encoding: 'utf8', stdio: 'pipe' });
const openssl = (...args: string[]): string => run('openssl', ...args);
function pem(name: string, der: Uint8Array): string {
  writeFileSync(at(name), toPem('CERTIFICATE', der as DerCertificate));
  return at(name);
}
/** The time of the simulated clock, for a verifier that would take its own. */
const now = (): string[] => ['-attime', String(Math.floor(bed.keyd.clock.now().getTime() / 1000))];
async function root(): Promise<string> {
  const { certificates } = await bed.keyd.client.trust();
  return pem('root.pem', certificates['signing-root'] ?? new Uint8Array());
}

test('TEST-KEY-22 each key is certified by the founding for itself, and openssl follows its path to the signing root [openssl: X.509 path RSA and P-384 signer]', async () => {
  const { keys } = await bed.keyd.client.firmwareKeys();
  const anchor = await root();
  for (const { id, algorithm, signature, certificate, refused } of keys) {
    assert.ok(certificate);
    if (id === 'verity') continue;
    const wanted: { algorithm: string; signature?: string } = KEYS[id as keyof typeof KEYS];
    assert.deepEqual([algorithm, signature, refused], [wanted.algorithm, wanted.signature, null]);
    assert.equal(readCertificate(certificate).keyAlgorithm, algorithm);
    assert.match(openssl('verify', ...now(), '-CAfile', anchor, pem('signer.pem', certificate)), /OK/);
  }
});

test('who says what a key was used for names the signature that the policy has for it: a word left out would make it another one for ever', async () => {
  const said = async (signature: 'RSASSA-PSS-SHA256' | null) => {
    const statements = await bed.keyStatements('rsa-pss', 'resume', ['pia'], { used: { orders: 3, signature } });
    return bed.keyd.client.orderFirmwareKey({ statements, requestId: 'resume' });
  };
  const scope = {
    code: 'firmware-key.scope',
    message: /used\.signature.*none, where the policy has RSASSA-PSS-SHA256/,
  };
  await assert.rejects(said(null), scope);
  // That one goes on to what is refused next: the key is not suspended.
  await assert.rejects(said('RSASSA-PSS-SHA256'), { code: 'key.transition-forbidden' });
});

for (const id of ['rsa-3072', 'rsa-4096', 'p-384'] as const) {
  test(`TEST-KEY-22 a detached signature that keyd makes by ${id} is one to openssl cms with the signing root as its anchor [openssl: CMS verify ${id}]`, async () => {
    const { signed } = await signImage(bed, 'cms', firmware, [id]);
    writeFileSync(at('detached'), signed);
    const args = ['-inform', 'DER', '-in', at('detached'), '-binary', '-content', UBOOT, '-purpose', 'any'];
    openssl('cms', '-verify', ...args, ...now(), '-CAfile', await root(), '-out', '/dev/null');
  });
}

test('a key whose signatures are over another hash than the content is refused by its name, and nothing is written down', async () => {
  const counted = async () => (await bed.keyd.client.firmwareSignatures({ from: 0, limit: 500 })).orders.length;
  const before = await counted();
  for (const [format, id] of [
    ['cms', 'p-384-own'],
    ['rauc', 'rsa-pss'],
    ['cms', 'rsa-pss'],
    ['authenticode', 'rsa-pss'],
    ['mcuboot', 'rsa-3072'],
    ['mcuboot', 'rsa-4096'],
    ['mcuboot', 'p-384'],
    ['sshsig', 'rsa-pss'],
    ['sshsig', 'p-384'],
    ['cose', 'rsa-3072'],
    ['cose', 'p-384'],
  ] as const) {
    const image = { rauc: 'bundle.squashfs', authenticode: 'image.efi' }[format as string];
    const bytes = image === undefined ? firmware : await made[image as keyof typeof made]();
    const parameters = format === 'mcuboot' ? { version: '9.0.0', 'header-size': '0x200' } : undefined;
    await assert.rejects(signImage(bed, format, bytes, [id], { parameters }), { code: 'firmware.key-unsuitable' }, id);
  }
  // Each signs it alone; an image with both is one that no bootloader takes.
  const together = signImage(bed, 'mcuboot', firmware, ['rsa-pss', 'p-384-own'], {
    parameters: { version: '9.0.0', 'header-size': '0x200' },
  });
  await assert.rejects(together, { code: 'firmware.key-unsuitable', message: /rsa-pss, .* and p-384-own, / });
  // An SSHSIG has one signature: a second one would have taken the version, and be put together by nobody.
  const twice = signImage(bed, 'sshsig', firmware, ['rsa-4096', 'p-384-own']);
  await assert.rejects(twice, { code: 'firmware.key-unsuitable', message: /rsa-4096, .* and p-384-own, / });
  assert.equal(await counted(), before);
});

test('TEST-KEY-22 an order with the hash of one image and the subject of another is refused where the subject tells of its image, and nothing is written down', async () => {
  const counted = async () => (await bed.keyd.client.firmwareSignatures({ from: 0, limit: 500 })).orders.length;
  const [before, reviewed] = [await counted(), firmware.subarray(0, 4096)];
  for (const [name, key, parameters] of [
    ['cms', 'rsa-3072', undefined],
    ['cose', 'p-384-own', undefined],
    ['mcuboot', 'rsa-pss', { version: '9.1.0', 'header-size': '0x200' }],
    ['rauc', 'rsa-3072', undefined],
  ] as const) {
    const evil = name === 'rauc' ? await made['bundle.squashfs']() : firmware;
    const image = { sha256: toHex(sha256(reviewed)), bytes: reviewed.length };
    const other = signImage(bed, name, evil, [key], { ...(parameters === undefined ? {} : { parameters }), image });
    await assert.rejects(other, { code: 'firmware-order.subject-differs', field: 'image' }, name);
    const cut = { sha256: toHex(sha256(evil)), bytes: evil.length - 1 };
    const size = signImage(bed, name, evil, [key], { ...(parameters === undefined ? {} : { parameters }), image: cut });
    await assert.rejects(size, { code: 'firmware-order.subject-differs', field: 'image' }, name);
  }
  assert.equal(await counted(), before);
});

test('an image without an octet is read by no format, and keyd signs none', async () => {
  for (const name of ['cms', 'cose', 'dsse', 'sshsig'] as const)
    await assert.rejects(firmwareFormat(name).read(imageOf(new Uint8Array())), { code: 'firmware.malformed' }, name);
  const image = { sha256: toHex(sha256(new Uint8Array())), bytes: 0 };
  const empty = signImage(bed, 'sshsig', firmware, ['rsa-4096'], { image });
  await assert.rejects(empty, { code: 'firmware.malformed', field: 'image' });
});

const made = {
  'bundle.squashfs': async () => {
    mkdirSync(at('tree'), { recursive: true });
    writeFileSync(at('tree/manifest.raucm'), '[update]\ncompatible=KS-PUMP-1\nversion=1.0\n');
    run('mksquashfs', 'tree', 'bundle.squashfs', '-all-root', '-noappend', '-quiet', '-no-progress');
    return new Uint8Array(readFileSync(at('bundle.squashfs')));
  },
  'image.efi': async () => new Uint8Array(readFileSync('/usr/lib/efitools/x86_64-linux-gnu/HelloWorld.efi')),
};

for (const id of ['rsa-4096', 'p-384'] as const) {
  test(`TEST-KEY-22 rauc takes a bundle that keyd signed by ${id}, by its path to the signing root [rauc: RAUC bundle plain ${id}]`, async () => {
    const { signed } = await signImage(bed, 'rauc', await made['bundle.squashfs'](), [id]);
    writeFileSync(at('update.raucb'), signed);
    // rauc has the machine's clock alone, and the bed's stands still: the certificates are of then.
    const config = ['[system]', 'compatible=KS-PUMP-1', 'bootloader=noop', '', '[keyring]', `path=${await root()}`];
    writeFileSync(
      at('system.conf'),
      [...config, 'check-purpose=codesign', 'use-bundle-signing-time=true', ''].join('\n'),
    );
    assert.match(run('rauc', '-c', 'system.conf', 'info', 'update.raucb'), /Compatible:\s+'KS-PUMP-1'/);
  });
}

/** A verity bundle as the build makes it, signed by a key of its own that nobody trusts. */
function verityBundle(compatible: string): Uint8Array {
  mkdirSync(at('verity'), { recursive: true });
  writeFileSync(
    at('verity/manifest.raucm'),
    `[update]\ncompatible=${compatible}\nversion=7.1\n[bundle]\nformat=verity\n`,
  );
  writeFileSync(at('verity/firmware'), firmware);
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', 'build.key'];
  openssl('req', '-new', '-x509', ...key, '-subj', '/CN=build', '-out', 'build.pem');
  rmSync(at('build.raucb'), { force: true });
  run('rauc', 'bundle', '--cert=build.pem', '--key=build.key', 'verity', 'build.raucb');
  return new Uint8Array(readFileSync(at('build.raucb')));
}

test('TEST-KEY-22 keyd reads the manifest of a verity bundle and signs it for its own product and version alone; rauc takes the bundle and extracts it [rauc: RAUC bundle verity, RAUC extract verity]', async () => {
  const { signed } = await signImage(bed, 'rauc-verity', verityBundle('KS-PUMP-1'), ['verity']);
  writeFileSync(at('update.raucb'), signed);
  const keyring = ['[keyring]', `path=${await root()}`, 'check-purpose=codesign', 'use-bundle-signing-time=true'];
  writeFileSync(at('system.conf'), ['[system]', 'compatible=KS-PUMP-1', 'bootloader=noop', ...keyring, ''].join('\n'));
  assert.match(
    run('rauc', '-c', 'system.conf', 'info', 'update.raucb'),
    /Version:\s+'7\.1'[\s\S]*Bundle Format:\s+verity/,
  );
  run('rauc', '-c', 'system.conf', 'extract', 'update.raucb', 'extracted');
  assert.deepEqual(new Uint8Array(readFileSync(at('extracted/firmware'))), firmware);
  await assert.rejects(signImage(bed, 'rauc-verity', verityBundle('KS-PUMP-2'), ['verity']), {
    code: 'firmware-order.claims-differ',
    message: /product/,
  });
  const { subject } = await raucVerity.read(imageOf(verityBundle('KS-PUMP-1')));
  const order = { format: 'rauc-verity' as const, keys: ['verity'], subject, securityCounter: null, target: 'other' };
  await assert.rejects(bed.sign({ ...order, version: '7.2' }), {
    code: 'firmware-order.claims-differ',
    message: /version/,
  });
});

for (const id of ['rsa-3072', 'rsa-4096'] as const) {
  test(`TEST-KEY-22 sbverify takes a UEFI program that keyd signed by ${id} [sbverify: Authenticode ${id}]`, async () => {
    const { signed, made: by } = await signImage(bed, 'authenticode', await made['image.efi'](), [id]);
    writeFileSync(at('signed.efi'), signed);
    const [one] = by;
    assert.ok(one);
    assert.match(run('sbverify', '--cert', pem('db.pem', one.signer), 'signed.efi'), /Signature verification OK/);
  });
}

/** The message that a key signed and its signature, as openssl is to judge them. */
function opensslTakes(message: Uint8Array, signature: Uint8Array, signer: Uint8Array, ...options: string[]): void {
  writeFileSync(at('message'), message);
  writeFileSync(at('signature'), signature);
  writeFileSync(at('key.pem'), openssl('x509', '-in', pem('key-of.pem', signer), '-noout', '-pubkey'));
  const said = openssl('dgst', ...options, '-verify', at('key.pem'), '-signature', at('signature'), at('message'));
  assert.match(said, /Verified OK/);
}
const PSS = ['-sha256', '-sigopt', 'rsa_padding_mode:pss', '-sigopt', 'rsa_pss_saltlen:32'];

test('TEST-KEY-22 keyd signs an image of MCUboot by RSASSA-PSS, and a tree of U-Boot in the place that asks for it [openssl: MCUboot RSA-3072 verify, FIT RSA-3072 PSS verify]', async () => {
  const parameters = { version: '1.2.3', 'header-size': '0x200' };
  const image = await signImage(bed, 'mcuboot', firmware, ['rsa-pss'], { parameters });
  const tree = await signImage(bed, 'fit', fit('sha256,rsa3072', 'padding = "pss";'), ['rsa-pss']);
  for (const { made: by, subject } of [image, tree]) {
    const [one] = by;
    assert.ok(one);
    assert.equal(one.scheme, 'RSASSA-PSS-SHA256');
    opensslTakes(subject, one.signature, one.signer, ...PSS);
  }
});

/** A tree with U-Boot in it and one place for a signature. */
function fit(algorithm: string, more = ''): Uint8Array {
  const source = `/dts-v1/; / { description = "Pump"; #address-cells = <1>;
    images { uboot { description = "U-Boot"; data = /incbin/("${UBOOT}"); type = "standalone"; os = "u-boot"; arch = "riscv";
      compression = "none"; load = <0x80200000>; hash-1 { algo = "sha256"; }; }; };
    configurations { default = "conf-1"; conf-1 { description = "board"; loadables = "uboot";
      signature-1 { algo = "${algorithm}"; ${more} key-name-hint = "dev"; sign-images = "loadables"; }; }; }; };`;
  writeFileSync(at('image.its'), source);
  run('mkimage', '-f', 'image.its', 'image.itb');
  return new Uint8Array(readFileSync(at('image.itb')));
}

test('TEST-KEY-22 keyd signs a tree of U-Boot by RSA-4096 over SHA-256, and dumpimage shows it in its place [dumpimage: FIT RSA-4096 read] [openssl: FIT RSA-4096 verify]', async () => {
  const { signed, made: by, subject } = await signImage(bed, 'fit', fit('sha256,rsa4096'), ['rsa-4096']);
  writeFileSync(at('signed.itb'), signed);
  assert.match(run('dumpimage', '-l', 'signed.itb'), /Sign algo: +sha256,rsa4096:dev\n +Sign value: +[0-9a-f]{1024}\n/);
  const [one] = by;
  assert.ok(one);
  opensslTakes(subject, one.signature, one.signer, '-sha256');
});

test('ssh-keygen takes the signature that keyd makes by RSA-4096 over SHA-256 [ssh-keygen: SSHSIG RSA-4096 verify]', async () => {
  const { signed, made: by } = await signImage(bed, 'sshsig', firmware, ['rsa-4096']);
  const [one] = by;
  assert.ok(one);
  writeFileSync(at('firmware.sig'), signed);
  const blob = Buffer.from(sshKeyBlob(readCertificate(one.signer).spki)).toString('base64');
  writeFileSync(at('allowed'), `release ssh-rsa ${blob}\n`);
  const args = ['-Y', 'verify', '-f', 'allowed', '-I', 'release', '-n', 'firmware', '-s', 'firmware.sig'];
  const said = execFileSync('ssh-keygen', args, { cwd: dir, input: firmware, encoding: 'utf8', stdio: 'pipe' });
  assert.match(said, /Good "firmware" signature for release/);
});

test('an order that was signed by another scheme than its kind has the same answer after a restart', async () => {
  const order = await bed.approved({
    format: 'dsse',
    keys: ['rsa-pss'],
    version: '3.0.0',
    securityCounter: null,
    ...payload(),
  });
  const { order: _order, ...asked } = order;
  const before = await bed.keyd.client.signFirmware(asked);
  assert.equal(before.signatures[0]?.scheme, 'RSASSA-PSS-SHA256');
  await bed.keyd.restart();
  assert.deepEqual(await bed.keyd.client.signFirmware(asked), before);
});
const payload = () => ({ subject: Buffer.from('DSSEv1 24 application/octet-stream 1 x'), target: 'again' });

test('a key that has signed by one scheme signs by no other, whatever a later policy says', async () => {
  await changePolicy(bed, (policy) => {
    for (const key of firmwareIn(policy).keys) {
      if (key.id === 'rsa-pss') delete key.signature;
      if (key.id === 'rsa-4096') key.signature = 'sha384WithRSAEncryption';
    }
  });
  for (const id of ['rsa-pss', 'rsa-4096'])
    await assert.rejects(signImage(bed, 'dsse', Buffer.from('x'), [id]), {
      code: 'firmware-key.scope',
      message: /signed by/,
    });
  const { keys } = await bed.keyd.client.firmwareKeys();
  assert.match(keys.find(({ id }) => id === 'rsa-pss')?.refused ?? '', /RSASSA-PSS-SHA256/);
});
