import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { systemClock } from 'keystead/clock/system.ts';
import { Layout } from 'keystead/files/layout.ts';
import { initKeyd, KEYD_KEYS } from 'keystead/keyd/init.ts';
import { pin, SoftHsm } from 'keystead/keystore/pkcs11/tests/softhsm.ts';

/** docs/pkcs11.md, typed as it stands, in a directory of its own with a SoftHSM of its own. */
const PROJECT = fileURLToPath(new URL('../..', import.meta.url));
const PROGRAM = join(PROJECT, 'packages/keystead/bin/keystead.mjs');
const page = readFileSync(join(PROJECT, 'docs/pkcs11.md'), 'utf8');

let hsm: SoftHsm;
before(() => {
  hsm = new SoftHsm();
  const tools = join(hsm.dir, 'tools');
  mkdirSync(tools);
  const npx = join(tools, 'npx');
  writeFileSync(npx, `#!/bin/sh\n[ "$1" = keystead ] || exit 2\nshift\nexec "${process.execPath}" "${PROGRAM}" "$@"\n`);
  chmodSync(npx, 0o755);
});
after(() => hsm.remove());

function shell(block: string): string {
  return execFileSync('bash', ['--norc', '-euo', 'pipefail', '-c', `${block}\n`], {
    cwd: hsm.dir,
    encoding: 'utf8',
    env: { ...process.env, PATH: `${join(hsm.dir, 'tools')}:${process.env.PATH ?? ''}` },
  });
}

function keystead(...args: string[]): {
  status: number | null;
  json: { error?: { code: string } } & Record<string, unknown>;
} {
  const all = [join(PROJECT, 'packages/keystead/cli/main.ts'), 'keystore', ...args, '--json'];
  const { status, stdout } = spawnSync(process.execPath, all, { cwd: hsm.dir, encoding: 'utf8' });
  return { status, json: JSON.parse(stdout) };
}

const blocks = [...page.matchAll(/```sh\n([\s\S]*?)```/g)].map((match) => match[1] ?? '');

test('TEST-KEY-11: docs/pkcs11.md: every block runs as it stands, and keyd makes its keys on the token in between', async () => {
  const [token = '', unlock = '', init = '', list = '', exporting = ''] = blocks;
  assert.equal(blocks.length, 5);
  shell(token);
  shell(unlock);
  assert.match(shell(init), /pkcs11 keystore: opened, 0 keys/);
  // What `npm start` and a ceremony's preparation do at this point.
  await initKeyd(new Layout(join(hsm.dir, 'token-data')), pin('4711-0815'), systemClock, {
    origin: 'docs.example/log',
  });
  const listed = shell(list);
  for (const id of Object.keys(KEYD_KEYS)) assert.match(listed, new RegExp(`"id": "${id}"[\\s\\S]*label: +${id}`));
  assert.match(listed, /"CKA_EXTRACTABLE": false/);
  shell(exporting);
});

test('TEST-KEY-20: asking for an export names the rule, whatever there is to export', () => {
  for (const id of ['ca-operational', 'nobody']) {
    const { status, json } = keystead('export', id, '--data', 'token-data');
    assert.equal(status, 3);
    assert.equal(json.error?.code, 'keystore.export-forbidden');
  }
});

test('what is wrong with a token is told by a code and an exit code, and nothing is written', () => {
  const wrong = join(hsm.dir, 'wrong-pin');
  writeFileSync(wrong, '0000\n', { mode: 0o600 });
  const right = join(hsm.dir, 'token-data.unlock/keyd');
  const module = '/usr/lib/softhsm/libsofthsm2.so';
  const init = (data: string, ...more: string[]) => keystead('init', '--data', data, ...more);
  const cases: [string[], string, number][] = [
    [['--module', module, '--token-label', 'keyd', '--passphrase-file', wrong], 'keystore.pin-incorrect', 3],
    [['--module', module, '--token-label', 'other', '--passphrase-file', right], 'keystore.token-absent', 4],
    [
      ['--module', '/usr/lib/none.so', '--token-label', 'keyd', '--passphrase-file', right],
      'keystore.module-missing',
      4,
    ],
    [['--module', 'none.so', '--token-label', 'keyd', '--passphrase-file', right], 'config.malformed', 3],
    [['--module', '/etc/hostname', '--token-label', 'keyd', '--passphrase-file', right], 'keystore.module-unusable', 4],
    [['--module', module, '--passphrase-file', right], 'config.malformed', 3],
    // It holds the keys of the other data directory.
    [['--module', module, '--token-label', 'keyd', '--passphrase-file', right], 'keystore.exists', 3],
  ];
  for (const [args, code, status] of cases) {
    const refused = init('other', ...args);
    assert.deepEqual([refused.json.error?.code, refused.status], [code, status], args.join(' '));
    assert.equal(existsSync(join(hsm.dir, 'other/keyd/keystore.json')), false);
  }
  assert.equal(init('token-data', '--module', module, '--token-label', 'keyd').json.error?.code, 'keystore.exists');
  assert.equal(keystead('list', '--data', 'nowhere').json.error?.code, 'keystore.missing');
});

test('without the native addon the command says what to install, and the rest of the program works', () => {
  // The project as it is, but for the one package: its sources, and its packages one by one.
  const copy = join(hsm.dir, 'without');
  mkdirSync(join(copy, 'node_modules'), { recursive: true });
  execFileSync('cp', ['-r', join(PROJECT, 'packages'), copy]);
  for (const name of execFileSync('ls', [join(PROJECT, 'node_modules')], { encoding: 'utf8' }).split('\n')) {
    if (['', 'pkcs11js', 'keystead', '@keystead'].includes(name)) continue;
    symlinkSync(join(PROJECT, 'node_modules', name), join(copy, 'node_modules', name));
  }
  mkdirSync(join(copy, 'node_modules/@keystead'));
  for (const name of ['core', 'agent', 'tpm2', 'pkcs11'])
    symlinkSync(join(copy, 'packages', name), join(copy, 'node_modules/@keystead', name));
  const run = (...args: string[]) =>
    spawnSync(process.execPath, [join(copy, 'packages/keystead/cli/main.ts'), ...args], {
      cwd: hsm.dir,
      encoding: 'utf8',
    });
  const refused = run('keystore', 'check', '--data', 'token-data');
  assert.equal(refused.status, 4, refused.stderr);
  assert.match(
    refused.stderr,
    /\[keystore\.pkcs11-unavailable\]\n {2}what to do: install a compiler .*g\+\+ make python3/,
  );
  assert.equal(run('--help').status, 0);
});
