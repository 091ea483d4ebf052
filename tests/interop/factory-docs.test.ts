import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { systemClock } from 'keystead/clock/system.ts';
import { FakeHeadquarters } from 'keystead/keyd/factory/tests/headquarters.ts';
import { portsOfProcess } from '../system/deployment.ts';

/** The first part of docs/factory.md, typed as it stands in a directory where nothing is yet; headquarters is played. */
const PROJECT = fileURLToPath(new URL('../..', import.meta.url));
const page = readFileSync(join(PROJECT, 'docs/factory.md'), 'utf8');
const SECTION = 'Setting up a factory node';

const folder = mkdtempSync(join(tmpdir(), 'keystead-factory-docs-'));
const tools = join(folder, 'tools');
mkdirSync(tools);
const bin = join(PROJECT, 'packages/keystead/bin/keystead.mjs');
writeFileSync(
  join(tools, 'npx'),
  `#!/bin/sh\n[ "$1" = keystead ] || exit 2\nshift\nexec "${process.execPath}" "${bin}" "$@"\n`,
);
chmodSync(join(tools, 'npx'), 0o755);
after(() => rmSync(folder, { recursive: true, force: true }));

function shell(block: string, more: NodeJS.ProcessEnv = {}): Promise<string> {
  const env = { ...process.env, ...more, PATH: `${tools}:${process.env.PATH ?? ''}` };
  return new Promise((resolve, reject) => {
    execFile(
      'bash',
      ['--norc', '-euo', 'pipefail', '-c', `trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n${block}`],
      { cwd: folder, env, timeout: 120_000 },
      (error, stdout, stderr) => {
        if (error === null) resolve(stdout + stderr);
        else reject(new Error(`${block}\n${error.message}\n${stdout}\n${stderr}`));
      },
    );
  });
}

test('the page for a new factory node works as it stands: keys and request, commission, a node that runs and verifies', async () => {
  const [, section = ''] = page.split(`## ${SECTION}\n`);
  const [own = ''] = section.split(/\n## /);
  const blocks = [...own.matchAll(/```sh\n([\s\S]*?)```/g)].map((match) => match[1] ?? '');
  assert.equal(blocks.length, 3);
  const [init = '', take = '', run = ''] = blocks;
  assert.match(await shell(init), /berlin-1 has its keys \(sealed\)/);
  const headquarters = await FakeHeadquarters.make(systemClock);
  // The ports that were free a moment ago may be another test's by now.
  const config = join(folder, 'berlin/config.json');
  const chosen = JSON.parse(readFileSync(config, 'utf8')) as object;
  writeFileSync(config, JSON.stringify({ ...chosen, ports: portsOfProcess() }, null, 2));
  const request = readFileSync(join(folder, 'berlin/factory/factory-request.json'));
  writeFileSync(join(folder, 'commission.json'), await headquarters.commission(request));
  const taken = await shell(take, { ROOT: headquarters.rootSha256 });
  assert.match(taken, /commission 1 is taken over: berlin-1 may make B1-\.\.\./);
  assert.match(taken, /berlin-1 {2}may provision/);
  const verified = await shell(run);
  assert.match(verified, /"factory":\{"name":"berlin-1"/);
  assert.match(verified, /commission 1 of berlin-1/);
});
