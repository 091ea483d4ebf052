import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const BIN = fileURLToPath(new URL('../../bin/keystead.mjs', import.meta.url));
const dir = mkdtempSync(join(tmpdir(), 'keystead-usage-'));
const image = join(dir, 'image');
const out = join(dir, 'out.json');
writeFileSync(image, 'an image');
after(() => rmSync(dir, { recursive: true, force: true }));

/** `keystead`, which must end with this code and say this. */
function refused(args: readonly string[], code: number, says: RegExp): void {
  // One that takes the words after all may ask at the terminal, and would be waited for.
  const ends = { timeout: 60_000, killSignal: 'SIGKILL' } as const;
  const { status, stderr } = spawnSync(process.execPath, [BIN, ...args], { encoding: 'utf8', input: '', ...ends });
  assert.match(stderr, says);
  assert.equal(status, code, stderr);
}

const request = (of: string, ...more: string[]): string[] => {
  const what = ['--product', 'pump', '--target', 'mcu', '--version', '1.2.0', '--format', 'mcuboot', '--reason', 'r'];
  return ['sign', 'request', of, ...what, ...more];
};

test('words of a command line that do not fit are told by the command that finds it, with exit code 2', () => {
  refused(['tuf', 'targets', '--repository', dir, '--add', 'u-boot.bin', '--out', out], 2, /--add takes PATH=FILE/);
  refused(['tuf', 'root', '--out', out], 2, /--root-key is missing/);
  refused(request(image, '--token-fd', '0'), 2, /--token-fd takes --url and --anchor/);
  const resume = ['sign', 'key', 'resume', 'pump-1', '--signature', 'RSASSA-PSS-SHA256', '--reason', 'r', '--out', out];
  refused(resume, 2, /--signature goes with --used/);
});

test('a watch is for keyd alone, which holds its key while nobody is there: with a key of the command it is refused before anything is opened', () => {
  const repository = join(dir, 'repository');
  mkdirSync(repository);
  const publish = ['tuf', 'publish', repository, '--watch'];
  const own = ['--online-key', join(dir, 'absent')];
  refused([...publish, ...own], 2, /^error: --watch is for --keyd\.$/m);
  const signers = /^error: Who signs is --keyd or --online-key, one of them\.$/m;
  refused(publish, 2, signers);
  refused([...publish, ...own, '--keyd', 'pump'], 2, signers);
  assert.deepEqual(readdirSync(repository), []);
});

test('a file descriptor that is not open is told by its option and number', () => {
  refused(request(image, '--token-fd', '99'), 1, /^keystead: --token-fd 99: this file descriptor is not open/);
});

test('a file that is named and cannot be read is told by its name, with exit code 3', () => {
  const absent = join(dir, 'absent');
  refused(request(dir), 3, /signing\.no-file/);
  refused(
    request(image, '--token-fd', '0', '--url', 'https://localhost:1', '--anchor', absent),
    3,
    /absent.*signing\.no-file/,
  );
});
