import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { toPem } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import { imageOf, MCUBOOT } from '@keystead/core/firmware';
import { Command } from 'commander';
import { SigningKey } from '../../../core/firmware/tests/signing-key.ts';
import { anchorsCommand } from '../sign-anchors.ts';
import { inspectCommand, prepareCommand } from '../sign-image.ts';

const key = new SigningKey('P-256');
const directory = mkdtempSync(join(tmpdir(), 'keystead-sign-image-'));
after(() => {
  for (const folder of [directory, key.directory]) rmSync(folder, { recursive: true });
});
const inside = (name: string): string => join(directory, name);
const write = (name: string, bytes: Uint8Array | string): string => {
  writeFileSync(inside(name), bytes);
  return inside(name);
};

/** Runs a command of `keystead sign` here, without a process of its own. */
async function sign(...args: string[]): Promise<void> {
  const program = new Command('sign').exitOverride();
  for (const command of [anchorsCommand(), inspectCommand(), prepareCommand()]) {
    command.configureOutput({ writeErr: () => {} });
    program.addCommand(command.exitOverride());
  }
  await program.parseAsync(args, { from: 'user' });
}

const raw = write('pump.raw', new Uint8Array(500).fill(1));
const certificate = write('boot.pem', toPem('CERTIFICATE', key.certificate));
const policy = write(
  'policy.json',
  JSON.stringify({
    version: 3,
    firmware: {
      keys: [{ id: 'boot', algorithm: 'P-256', product: 'pump', environment: 'production', formats: ['mcuboot'] }],
    },
  }),
);
const SCOPE = ['--policy', policy, '--product', 'pump', '--environment', 'production'];

test('sign prepare writes the image that the library makes, and sign inspect reads it', async () => {
  await sign('prepare', raw, '--format', 'mcuboot', '--set', 'version=1.2.3', '--out', inside('pump.bin'));
  const image = new Uint8Array(readFileSync(inside('pump.bin')));
  assert.equal((await MCUBOOT.read(imageOf(image))).version, '1.2.3');
});

test('sign anchors writes the key of the policy for the format that is asked for', async () => {
  const out = inside('keys.c');
  await sign('anchors', ...SCOPE, '--format', 'mcuboot', '--certificate', `boot=${certificate}`, '--out', out);
  assert.match(readFileSync(out, 'utf8'), /\/\* boot, P-256 \*\/\nconst unsigned char ecdsa_pub_key\[\]/);
});

test('sign anchors goes by what the policy says that a key signs by: U-Boot is told the hash, MCUboot takes RSASSA-PSS alone', async () => {
  const rsa = new SigningKey('RSA-3072');
  try {
    const key = { id: 'boot', algorithm: 'RSA-3072', product: 'pump', environment: 'production' };
    const file = write('rsa.pem', toPem('CERTIFICATE', rsa.certificate));
    const anchors = async (format: string, signature?: string) => {
      const keys = [{ ...key, formats: ['mcuboot', 'fit'], ...(signature === undefined ? {} : { signature }) }];
      const rules = write('rsa.json', JSON.stringify({ version: 3, firmware: { keys } }));
      const scope = ['--policy', rules, '--product', 'pump', '--environment', 'production'];
      await sign('anchors', ...scope, '--format', format, '--certificate', `boot=${file}`, '--out', inside('anchors'));
      return readFileSync(inside('anchors'), 'utf8');
    };
    assert.match(await anchors('u-boot'), /algo = "sha256,rsa3072"/);
    assert.match(await anchors('u-boot', 'sha384WithRSAEncryption'), /algo = "sha384,rsa3072"/);
    assert.match(await anchors('mcuboot', 'RSASSA-PSS-SHA256'), /rsa_pub_key_len = 398;/);
    await assert.rejects(anchors('mcuboot'), { code: 'firmware.key-unsuitable' });
    await assert.rejects(anchors('mcuboot', 'RSASSA-PSS-SHA256-longest'), { code: 'firmware.key-unsuitable' });
  } finally {
    rmSync(rsa.directory, { recursive: true });
  }
});

for (const [what, args, said] of [
  [
    'a version that no header can carry',
    ['prepare', raw, '--format', 'mcuboot', '--set', 'version=300', '--out', 'x'],
    /^version: .*major 300, above 255/,
  ],
  [
    'a format that has tools of its own',
    ['prepare', raw, '--format', 'fit', '--set', 'version=1', '--out', 'x'],
    /^format: .*tools of its own/,
  ],
  [
    'a parameter that is given twice',
    ['prepare', raw, '--format', 'mcuboot', '--set', 'version=1', '--set', 'version=2', '--out', 'x'],
    /version is given twice/,
  ],
  ['bytes that are no image', ['inspect', raw, '--format', 'mcuboot'], /^header magic: .*no image of MCUboot/],
  ['bytes that are no bundle', ['inspect', raw, '--format', 'rauc-verity'], /^the end of the bundle: /],
  ['a file that is not there', ['inspect', inside('nothing'), '--format', 'fit'], /nothing: .*no readable file/],
  ['a directory', ['inspect', directory, '--format', 'fit'], /no readable file/],
  [
    'a policy without signing keys',
    [
      'anchors',
      '--policy',
      raw,
      '--product',
      'pump',
      '--environment',
      'x',
      '--format',
      'pem',
      '--certificate',
      `boot=${certificate}`,
    ],
    /no section firmware/,
  ],
  [
    'a scope without a key',
    [
      'anchors',
      '--policy',
      policy,
      '--product',
      'pump',
      '--environment',
      'development',
      '--format',
      'pem',
      '--certificate',
      `boot=${certificate}`,
    ],
    /^pump development: /,
  ],
  [
    'a certificate of no key',
    ['anchors', ...SCOPE, '--format', 'pem', '--certificate', `root=${certificate}`],
    /^root: .*no key of the policy/,
  ],
  [
    'a file without a certificate',
    ['anchors', ...SCOPE, '--format', 'pem', '--certificate', `boot=${raw}`],
    /has no certificate/,
  ],
  ['a certificate without an id', ['anchors', ...SCOPE, '--format', 'pem', '--certificate', certificate], /it is like/],
] as const) {
  test(`keystead sign refuses ${what}, by name`, async () => {
    await assert.rejects(sign(...args), (error: unknown) => {
      assert.ok(error instanceof Error);
      assert.ok(error instanceof KeysteadError || 'exitCode' in error, String(error));
      assert.match(error.message, said);
      return true;
    });
  });
}
