import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { toPem } from '@keystead/core/bytes';
import { formatSshPublicKey, readSshPublicKey, sshKeyBlob } from '@keystead/core/crypto';
import { dsse, imageOf, sshsig } from '@keystead/core/firmware';
import { newTestSigner, together } from '../../packages/core/firmware/tests/signers.ts';

/** docs/signing-formats.md, typed as it stands in a directory that has the files which it names. */
const page = readFileSync(new URL('../../docs/signing-formats.md', import.meta.url), 'utf8');
const blocks = [...page.matchAll(/```sh\n([\s\S]*?)```/g)].map((match) => match[1] ?? '');
/** What each block must print to have done what the page says. */
const PRINTS: readonly RegExp[] = [/^Verified OK$/m, /Good "firmware" signature for release/];
const folder = mkdtempSync(join(tmpdir(), 'keystead-signing-formats-'));
after(() => rmSync(folder, { recursive: true, force: true }));

before(async () => {
  const signer = await newTestSigner('P-256');
  const firmware = readFileSync('/usr/lib/u-boot/qemu_arm64/u-boot.bin');
  const file = (name: string, content: Uint8Array | string) => writeFileSync(join(folder, name), content);
  file('firmware.bin', firmware);
  file('release.pem', toPem('PUBLIC KEY', signer.key.spki));
  const line = formatSshPublicKey(readSshPublicKey(sshKeyBlob(signer.key.spki)), 'Acme releases');
  file('allowed_signers', `release ${line}\n`);
  const statement = await dsse.prepare?.(imageOf(firmware), {
    name: 'firmware.bin',
    predicateType: 'cyclonedx',
    predicate: '{"bomFormat":"CycloneDX","specVersion":"1.6"}',
  });
  assert.ok(statement !== undefined);
  for (const [name, format, image] of [
    ['firmware.dsse.json', dsse, statement],
    ['firmware.bin.sig', sshsig, imageOf(firmware)],
  ] as const) {
    const { subject } = await format.read(image);
    file(name, await together(format.assemble(image, subject, [await signer.made(format, subject)])));
  }
});

const shell = (block: string): Promise<string> =>
  new Promise((resolve, reject) => {
    execFile(
      'bash',
      ['--norc', '-euo', 'pipefail', '-c', block],
      { cwd: folder, timeout: 60_000 },
      (error, stdout, stderr) => {
        if (error === null) resolve(stdout + stderr);
        else reject(new Error(`${block}\n${error.message}\n${stdout}\n${stderr}`));
      },
    );
  });

test('what the page of formats tells to type verifies what was signed', async () => {
  assert.equal(blocks.length, PRINTS.length);
  for (const [index, block] of blocks.entries()) assert.match(await shell(block), PRINTS[index] ?? /$^/);
});
