import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const CLI = fileURLToPath(new URL('../main.ts', import.meta.url));
const PAGE = fileURLToPath(new URL('../../../../docs/scan.md', import.meta.url));
const directory = mkdtempSync(join(tmpdir(), 'keystead-scan-cli-'));
after(() => rmSync(directory, { recursive: true, force: true }));

const keystead = (...args: string[]) =>
  spawnSync(process.execPath, [CLI, ...args], { cwd: directory, encoding: 'utf8' });

mkdirSync(join(directory, 'rootfs'));
writeFileSync(join(directory, 'firmware.bin'), Buffer.alloc(4096, 0x5a));

test('docs/scan.md: the block runs as it stands: 0 for a clean image, 1 for a key in the clear', () => {
  const block = /```sh\nkeystead (.*)\n```/.exec(readFileSync(PAGE, 'utf8'))?.[1]?.split(' ') ?? [];
  const clean = keystead(...block);
  assert.equal(clean.status, 0, clean.stderr);
  assert.match(clean.stdout, /^0 private keys in the clear, 0 under a passphrase, 0 places not looked into\n$/);
  execFileSync('openssl', ['genpkey', '-algorithm', 'ED25519', '-out', join(directory, 'rootfs', 'id.pem')]);
  const found = keystead(...block);
  assert.equal(found.status, 1);
  assert.match(found.stdout, /rootfs\/id\.pem +0 +PEM +ed25519 +IN THE CLEAR +[0-9a-f]{64}/);
  assert.ok(!found.stdout.includes(readFileSync(join(directory, 'rootfs', 'id.pem'), 'latin1').split('\n')[1] ?? '?'));
});

test('--json tells keys and places, --strict counts a key under a passphrase, and a path that is not there is refused', () => {
  const locked = join(directory, 'locked.pem');
  const options = ['genpkey', '-algorithm', 'ED25519', '-aes256', '-pass', 'pass:x'];
  execFileSync('openssl', [...options, '-out', locked]);
  const { status, stdout } = keystead('scan', '--json', 'locked.pem');
  assert.equal(status, 0);
  const told = JSON.parse(stdout) as { keys: { where: string; encrypted: boolean }[]; unread: unknown[] };
  assert.deepEqual(
    told.keys.map(({ where, encrypted }) => [where, encrypted]),
    [['locked.pem', true]],
  );
  assert.equal(keystead('scan', '--strict', 'locked.pem').status, 1);
  const absent = keystead('scan', 'absent.bin');
  assert.equal(absent.status, 3);
  assert.match(absent.stderr, /path[\s\S]*absent\.bin[\s\S]*scan\.no-file/);
});
