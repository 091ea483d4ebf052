import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { keystead } from './foreign.ts';

/** docs/tuf.md, typed as it stands in an empty directory; then the command line with what it must refuse. */
const PROJECT = fileURLToPath(new URL('../..', import.meta.url));
const page = readFileSync(join(PROJECT, 'docs/tuf.md'), 'utf8');
const folder = mkdtempSync(join(tmpdir(), 'keystead-tuf-docs-'));
const tools = join(folder, 'tools');

before(() => {
  mkdirSync(tools);
  const npx = join(tools, 'npx');
  const bin = join(PROJECT, 'packages/keystead/bin/keystead.mjs');
  writeFileSync(npx, `#!/bin/sh\n[ "$1" = keystead ] || exit 2\nshift\nexec "${process.execPath}" "${bin}" "$@"\n`);
  chmodSync(npx, 0o755);
});
after(() => rmSync(folder, { recursive: true }));

function shell(script: string): Promise<string> {
  const env = { ...process.env, PATH: `${tools}:${process.env.PATH ?? ''}` };
  return new Promise((resolve, reject) => {
    execFile(
      'bash',
      ['--norc', '-euo', 'pipefail', '-c', script],
      { cwd: folder, env, timeout: 120_000 },
      (error, stdout, stderr) => {
        if (error === null) resolve(stdout);
        else reject(new Error(`${script}\n${error.message}\n${stdout}\n${stderr}`));
      },
    );
  });
}

const SAID = [
  /root keys +2 of 2[\s\S]*root 1; give devices[\s\S]*u-boot\.bin +\d+ octets, SHA-256 [0-9a-f]{64}, pump 2023\.01[\s\S]*root 1, targets 1, snapshot 1, timestamp 1[\s\S]*u-boot\.bin +good/,
  /root 1, targets 1, snapshot 1, timestamp 2; publish again before/,
  /root 2, targets 1, snapshot 1, timestamp 3[\s\S]*root +2 .*good/,
];

const blocks = [...page.matchAll(/```sh\n([\s\S]*?)```/g)].map((match) => match[1] ?? '');
assert.equal(blocks.length, SAID.length);
for (const [index, block] of blocks.entries()) {
  test(`docs/tuf.md: block ${index + 1} of ${blocks.length} runs as it stands`, async () => {
    assert.match(await shell(block), SAID[index] ?? /never/);
  });
}

test('keystead tuf status ends with 1 where a client would refuse, and names the file', async () => {
  const repository = join(folder, 'tuf/repository');
  const [name] = (await shell('ls tuf/repository/targets')).split('\n');
  writeFileSync(join(repository, 'targets', name ?? ''), 'something else');
  const { status, stdout } = await keystead(['tuf', 'status', repository, '--json']);
  assert.equal(status, 1);
  const { findings } = JSON.parse(stdout) as { findings: { what: string; fault: string | null }[] };
  assert.deepEqual(
    findings.filter(({ fault }) => fault !== null).map(({ what }) => what),
    ['u-boot.bin'],
  );
});

test('keystead tuf root refuses a threshold above the number of keys, and writes nothing', async () => {
  const at = join(folder, 'tuf');
  const keys = ['--root-key', 'ada.pem', 'bob.pem', '--targets-key', 'eve.pem', '--online-key', 'online.pem'];
  const args = ['tuf', 'root', ...keys, '--root-threshold', '3', '--out', 'no.json'];
  const { status, stderr } = await keystead(args, { cwd: at });
  assert.equal(status, 3);
  assert.match(stderr, /signed\.roles\.root\.threshold: .*3 of 2 keys.*\[firmware\.malformed\]/);
  assert.throws(() => readFileSync(join(at, 'no.json')));
});
