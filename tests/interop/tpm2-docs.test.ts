import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { ERRORS } from '@keystead/core/errors';
import { parseKeystoreConfig } from 'keystead/keystore/config.ts';
import { Swtpm } from '../../packages/tpm2/tests/swtpm.ts';

/** docs/tpm2.md, typed as it stands, in a directory of its own with a TPM of its own. */
const PROJECT = fileURLToPath(new URL('../..', import.meta.url));
const PROGRAM = join(PROJECT, 'packages/keystead/bin/keystead.mjs');
const page = readFileSync(join(PROJECT, 'docs/tpm2.md'), 'utf8');
const blocksOf = (language: string): string[] =>
  [...page.matchAll(new RegExp(`\`\`\`${language}\\n([\\s\\S]*?)\`\`\``, 'g'))].map((match) => match[1] ?? '');

let swtpm: Swtpm;
before(async () => {
  swtpm = await Swtpm.start({ certificates: true });
  mkdirSync(swtpm.path('tools'));
  const npx = swtpm.path('tools/npx');
  writeFileSync(npx, `#!/bin/sh\n[ "$1" = keystead ] || exit 2\nshift\nexec "${process.execPath}" "${PROGRAM}" "$@"\n`);
  chmodSync(npx, 0o755);
});
after(() => swtpm.stop());

/** What a block prints, on both outputs. */
function shell(block: string): string {
  return execFileSync('bash', ['--norc', '-euo', 'pipefail', '-c', `exec 2>&1\n${block}\n`], {
    cwd: swtpm.directory,
    encoding: 'utf8',
    env: {
      ...process.env,
      PATH: `${swtpm.path('tools')}:${process.env.PATH ?? ''}`,
      TPM: swtpm.address,
      TPM2TOOLS_TCTI: `swtpm:path=${swtpm.socket}`,
    },
  });
}

test('TEST-KEY-11: docs/tpm2.md: every block runs as it stands and does what the page says of it', () => {
  const [status = '', seal = '', extend = '', refused = '', again = '', init = ''] = blocksOf('sh');
  assert.equal(blocksOf('sh').length, 6);
  assert.match(shell(status), /passed the health tests[\s\S]*EK certificate/);
  assert.match(shell(seal), /sealed to sha256:7, and it opens\n.*opens; sealed 2/);
  shell(extend);
  assert.match(shell(refused), /sha256:7: .*PCR 7 is [0-9a-f]{16}…, sealed to [0-9a-f]{16}….*\[tpm2\.pcr-mismatch\]/);
  assert.match(shell(again), /sealed to sha256:7, and it opens\n.*opens/);
  const written = shell(init);
  assert.match(written, /keyd will make its keys in it/);
  assert.deepEqual(JSON.parse(written.slice(written.indexOf('{'))), {
    ...JSON.parse(blocksOf('json')[0] ?? ''),
    tpm: swtpm.address,
  });
});

test('keystead tpm takes the value of an owner by a descriptor, and says what is missing without it', () => {
  swtpm.tool('tpm2_changeauth', '-c', 'o', 'the owner');
  const order = 'npx keystead tpm seal --out owned.tpm2 --passphrase-fd 3 --tpm "$TPM" 3< passphrase';
  assert.match(shell(`${order} || test $? -ne 0`), /tpm2\.auth-failed/);
  assert.match(shell(`${order} --owner-auth-fd 4 4<<< 'the owner'`), /sealed to sha256:7, and it opens/);
  assert.match(shell(`npx keystead tpm check owned.tpm2 --tpm "$TPM" --owner-auth-fd 4 4<<< 'the owner'`), /opens/);
});

test('docs/tpm2.md: its keystore.json is one, and each code of its table is an error of Keystead', () => {
  const [json = ''] = blocksOf('json');
  assert.equal(parseKeystoreConfig(JSON.parse(json), 'docs/tpm2.md').make, 'tpm2');
  const codes = [...page.matchAll(/`((?:tpm2|rng|state)\.[a-z-]+)`/g)].map(([, code]) => code ?? '');
  assert.ok(codes.length > 10);
  for (const code of codes.filter((one) => one !== 'keystore.tpm2')) assert.ok(code in ERRORS, code);
});
