import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';

/** docs/signing-boot.md, typed as it stands in an empty directory. */
const PROJECT = fileURLToPath(new URL('../..', import.meta.url));
const page = readFileSync(join(PROJECT, 'docs/signing-boot.md'), 'utf8');
const blocks = [...page.matchAll(/```sh\n([\s\S]*?)```/g)].map((match) => match[1] ?? '');
const folder = mkdtempSync(join(tmpdir(), 'keystead-signing-boot-'));
after(() => rmSync(folder, { recursive: true }));

// The commands alone, so that the page runs whatever else `keystead sign` has.
const source = (name: string): string => pathToFileURL(join(PROJECT, 'packages/keystead/cli', name)).href;
writeFileSync(
  join(folder, 'sign.mjs'),
  `import { Command } from '${import.meta.resolve('commander')}';
import { anchorsCommand } from '${source('sign-anchors.ts')}';
import { inspectCommand, prepareCommand } from '${source('sign-image.ts')}';
import { fail } from '${source('exit.ts')}';
const sign = new Command('sign');
for (const command of [anchorsCommand(), inspectCommand(), prepareCommand()]) sign.addCommand(command);
await new Command('keystead').addCommand(sign).parseAsync(process.argv).catch((thrown) => fail(thrown));
`,
);
writeFileSync(
  join(folder, 'npx'),
  `#!/bin/sh\n[ "$1" = keystead ] || exit 2\nshift\nexec "${process.execPath}" "${join(folder, 'sign.mjs')}" "$@"\n`,
);
chmodSync(join(folder, 'npx'), 0o755);

function shell(block: string): Promise<{ status: number; printed: string }> {
  const env = { ...process.env, PATH: `${folder}:${process.env.PATH ?? ''}` };
  return new Promise((resolve) => {
    const args = ['--norc', '-euo', 'pipefail', '-c', block];
    execFile('bash', args, { cwd: folder, env, timeout: 60_000 }, (error, stdout, stderr) => {
      resolve({ status: error === null ? 0 : 1, printed: stdout + stderr });
    });
  });
}

const PRINTS = [
  /version +2\.1\.0\+17\nsecurity counter +7\n[\s\S]*dependency: image 1 +at least 1\.4\.0\n/,
  /configuration +board-1: [\s\S]*firmware +opensbi: firmware, riscv, opensbi, none, load 0x80000000, 115328 octets, sha256/,
  /(RSA )?Public-Key: \(3072 bit\)/,
];

assert.equal(blocks.length, PRINTS.length);
for (const [index, block] of blocks.entries()) {
  test(`docs/signing-boot.md: block ${index + 1} of ${blocks.length} runs as it stands`, async () => {
    const { status, printed } = await shell(block);
    assert.equal(status, 0, printed);
    assert.match(printed, PRINTS[index] ?? /never/);
  });
}
