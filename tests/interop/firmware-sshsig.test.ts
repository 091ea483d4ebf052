import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { toBase64 } from '@keystead/core/bytes';
import { sshKeyBlob, sshSigSubject } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { imageOf, sshsig, sshsigFormat } from '@keystead/core/firmware';
import { newTestSigner, together } from '../../packages/core/firmware/tests/signers.ts';

const directory = mkdtempSync(join(tmpdir(), 'keystead-firmware-sshsig-'));
after(() => rmSync(directory, { recursive: true, force: true }));
const at = (name: string) => join(directory, name);
const FIRMWARE = '/usr/lib/riscv64-linux-gnu/opensbi/generic/fw_jump.bin';
const NAMESPACE = 'firmware@acme.example';
const format = sshsigFormat(NAMESPACE);
const code = (expected: string) => (error: unknown) => error instanceof KeysteadError && error.code === expected;

const verify = (namespace: string, input: Uint8Array): string =>
  execFileSync(
    'ssh-keygen',
    ['-Y', 'verify', '-f', at('allowed'), '-I', 'release', '-n', namespace, '-s', at('firmware.sig')],
    { input, encoding: 'utf8', stdio: 'pipe' },
  );

test('ssh-keygen verifies the detached signature of OpenSBI by each kind of key, for its namespace alone [ssh-keygen: SSHSIG verify]', async () => {
  const firmware = readFileSync(FIRMWARE);
  const image = imageOf(firmware);
  const { subject, shown } = await format.read(image);
  const digest = execFileSync('sha512sum', [FIRMWARE], { encoding: 'utf8' }).slice(0, 128);
  assert.ok(shown.some(({ value }) => value === digest));
  for (const algorithm of ['P-256', 'P-384', 'Ed25519', 'RSA-3072'] as const) {
    const signer = await newTestSigner(algorithm);
    const made = [await signer.made(format, subject)];
    writeFileSync(at('firmware.sig'), await together(format.assemble(image, subject, made)));
    const [type] = Buffer.from(sshKeyBlob(signer.key.spki).subarray(4)).toString('latin1').split('\0');
    writeFileSync(at('allowed'), `release ${type} ${toBase64(sshKeyBlob(signer.key.spki))}\n`);
    assert.match(verify(NAMESPACE, firmware), /Good "firmware@acme\.example" signature for release/, algorithm);
    assert.throws(() => verify('file', firmware), algorithm);
    assert.throws(() => verify(NAMESPACE, Buffer.concat([firmware, firmware])), algorithm);
  }
});

test('keyd composes for namespaces of firmware alone, and from nothing but the one form', async () => {
  const { terms } = await newTestSigner('P-256');
  const digest = Buffer.alloc(64, 7);
  assert.deepEqual(
    sshsig.compose(sshSigSubject({ namespace: 'firmware', hash: 'sha512', digest }), terms),
    sshSigSubject({ namespace: 'firmware', hash: 'sha512', digest }),
  );
  for (const namespace of ['file', 'git', 'firmwarex', 'keystead-order@acme.example', 'firmware@', 'firmware@A']) {
    const subject = sshSigSubject({ namespace, hash: 'sha512', digest });
    assert.throws(() => sshsig.compose(subject, terms), code('firmware.malformed'), namespace);
    assert.throws(() => sshsigFormat(namespace), code('firmware.parameter'), namespace);
  }
  const good = sshSigSubject({ namespace: 'firmware', hash: 'sha512', digest });
  const weak = sshSigSubject({ namespace: 'firmware', hash: 'sha256', digest: digest.subarray(32) });
  for (const subject of [weak, good.subarray(1), good.subarray(0, -1), Buffer.concat([good, good]), Buffer.alloc(0)]) {
    assert.throws(() => sshsig.compose(subject, terms), code('firmware.malformed'));
    assert.throws(() => sshsig.claims(subject), code('firmware.malformed'));
  }
});

test('a key that SSH has no signature for is refused before it signs', async () => {
  const { terms } = await newTestSigner('RSA-4096');
  const { subject } = await sshsig.read(imageOf(Buffer.from('x')));
  assert.throws(() => sshsig.compose(subject, terms), code('firmware.key-unsuitable'));
});
