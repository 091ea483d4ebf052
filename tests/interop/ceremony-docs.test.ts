import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { generateSoftwareKey } from '@keystead/core/crypto';
import { demoPolicy, formatPolicy } from '@keystead/core/lifecycle';

/** What docs/ceremony.md tells people to type is typed here, in its order, on a machine without network. */
const PROJECT = fileURLToPath(new URL('../..', import.meta.url));
const PAGE = readFileSync(join(PROJECT, 'docs/ceremony.md'), 'utf8');
const [, documented = ''] = /<!-- verify: begin -->([\s\S]*)<!-- verify: end -->/.exec(PAGE) ?? [];
const blocksOf = (text: string) => [...text.matchAll(/```sh\n([\s\S]*?)```/g)].map((match) => match[1] ?? '');
const VERIFYING = blocksOf(documented).join('\n');
/** keyd makes its request before anybody can compare it, which the page tells of first. */
const BLOCKS = blocksOf(PAGE.replace(documented, '')).sort(
  (a, b) => Number(b.includes('keyd init')) - Number(a.includes('keyd init')),
);

let folder: string;
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'keystead-ceremony-docs-'));
  const tools = join(folder, 'tools');
  mkdirSync(tools);
  const bin = join(PROJECT, 'packages/keystead/bin/keystead.mjs');
  writeFileSync(
    join(tools, 'npx'),
    `#!/bin/sh\n[ "$1" = keystead ] || exit 2\nshift\nexec "${process.execPath}" "${bin}" "$@"\n`,
  );
  chmodSync(join(tools, 'npx'), 0o755);
  const operator = { name: 'ada', roles: ['ca-operator'], spki: generateSoftwareKey('P-256').spki } as const;
  writeFileSync(join(folder, 'policy.json'), formatPolicy(demoPolicy({ operators: [operator], issued: new Date() })));
  for (const [name, text] of [
    ['roots.passphrase', 'correct horse battery staple'],
    ['keyd.passphrase', 'another of keyd'],
  ]) {
    writeFileSync(join(folder, name ?? ''), `${text}\n`, { mode: 0o600 });
  }
});
after(() => rmSync(folder, { recursive: true, force: true }));

function shell(script: string, cwd = folder, more: Record<string, string> = {}) {
  const args = ['--net', '--map-root-user', '--', 'bash', '-euo', 'pipefail', '-c', script];
  const env = { ...process.env, ...more, PATH: `${join(folder, 'tools')}:${process.env.PATH ?? ''}` };
  return spawnSync('unshare', args, { cwd, env, input: 'yes\n'.repeat(60), encoding: 'utf8', timeout: 60_000 });
}

const SAID: readonly (readonly [in_: string, said: RegExp])[] = [
  ['--print-script', /^$/],
  ['--rehearsal', /REHEARSAL, NOT FOR USE: its keys are destroyed/],
  ['--script script.md', /For the safe: .*safe\. To take to keyd: .*usb\/founding\./],
  ['keyd import', /keyd took over/],
  ['ceremony verify', /\nPROVEN\n/],
  ['openssl verify', /server\.pem: OK/],
  ['keystead fingerprint', /SHA-256 of the file:\n {2}[0-9a-f]{4} [0-9a-f]{4} {3}[A-Za-z]+/],
];

for (const [index, block] of BLOCKS.entries()) {
  test(`docs/ceremony.md: block ${index + 1} of ${BLOCKS.length} runs as it stands`, () => {
    const { status, stdout, stderr } = shell(block);
    assert.equal(status, 0, `${block}\n${stdout}\n${stderr}`);
    for (const [command, said] of SAID) if (block.includes(command)) assert.match(stdout, said, command);
  });
}

test('TEST-KEY-02 the commands with openssl and sha256sum alone verify each ceremony of the page', () => {
  const kinds = { founding: 'root.pem', '2-operational': 'root.pem', '3-crl': 'root.pem', '4-rollover': 'root-1.pem' };
  for (const [name, vouching] of Object.entries(kinds)) {
    const { status, stdout, stderr } = shell(VERIFYING, join(folder, 'usb', name), { vouching, TMPDIR: folder });
    assert.equal(status, 0, `${name}\n${stdout}\n${stderr}`);
  }
});

test('the rehearsal left nothing in its safe, the founding both roots, the rollover a second one', () => {
  assert.deepEqual(readdirSync(join(folder, 'rehearsed-safe')), []);
  assert.deepEqual(readdirSync(join(folder, 'safe')).sort(), ['root-2.sealed', 'root.sealed', 'signing-root.sealed']);
});
