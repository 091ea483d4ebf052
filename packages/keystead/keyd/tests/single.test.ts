import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, lstatSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, test } from 'node:test';
import { becomeSole, type SoleRight } from '../single.ts';

const dirs: string[] = [];
const children = new Set<ChildProcess>();
after(() => {
  for (const child of children) child.kill('SIGKILL');
  for (const dir of dirs) rmSync(dir, { recursive: true, force: true });
});

function newDirectory(): string {
  const dir = mkdtempSync(join(tmpdir(), 'keystead-sole-'));
  dirs.push(dir);
  return dir;
}

const HOLDER = `
const { becomeSole } = await import(process.argv[1]);
try {
  await becomeSole(process.argv[2]);
  console.log('held');
  setInterval(() => {}, 1000);
} catch (error) {
  console.log(error.code);
}`;
const MODULE = new URL('../single.ts', import.meta.url).href;

/** A process that takes the right; what it said. */
async function holder(dir: string, prefix: readonly string[] = []): Promise<{ child: ChildProcess; said: string }> {
  const node = [process.execPath, '--input-type=module', '-e', HOLDER, MODULE, dir];
  const [command = '', ...args] = [...prefix, ...node];
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  children.add(child);
  const [said] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
  return { child, said };
}

async function killed(child: ChildProcess): Promise<void> {
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
}

const taken = async (dir: string): Promise<SoleRight | undefined> => {
  try {
    return await becomeSole(dir);
  } catch (error) {
    assert.equal((error as { code?: string }).code, 'keyd.already-running');
    return undefined;
  }
};

test('a directory has one holder, until it lets go', async () => {
  const dir = newDirectory();
  const first = await becomeSole(dir);
  await assert.rejects(becomeSole(dir), { code: 'keyd.already-running', field: dir });
  first.release();
  const second = await becomeSole(dir);
  assert.deepEqual(readdirSync(dir), ['sole.2']);
  second.release();
  (await becomeSole(newDirectory())).release();
});

test('of many that ask at the same moment exactly one gets it, each time anew', async () => {
  const dir = newDirectory();
  for (let round = 1; round <= 20; round += 1) {
    const rights = (await Promise.all(Array.from({ length: 8 }, () => taken(dir)))).filter((one) => one !== undefined);
    assert.equal(rights.length, 1, `round ${round}`);
    assert.equal(await taken(dir), undefined);
    rights[0]?.release();
  }
  assert.equal(readdirSync(dir).length, 1);
});

test('it holds between processes, also when they start at once and when the last holder was killed', async () => {
  const dir = newDirectory();
  for (let round = 0; round < 3; round += 1) {
    const all = await Promise.all([holder(dir), holder(dir), holder(dir)]);
    assert.deepEqual(all.map(({ said }) => said).sort(), ['held', 'keyd.already-running', 'keyd.already-running']);
    for (const { child, said } of all) if (said === 'held') await killed(child);
  }
});

test('TEST-KEY-13 a holder in another network namespace is seen, and a stopped one is not taken for dead', async () => {
  const dir = newDirectory();
  const { child, said } = await holder(dir, ['unshare', '--net', '--map-root-user', '--']);
  assert.equal(said, 'held');
  assert.equal(await taken(dir), undefined);
  child.kill('SIGSTOP');
  assert.equal(await taken(dir), undefined);
  await killed(child);
  (await becomeSole(dir)).release();
});

test('a right that root takes in the directory of another user belongs to that user from the first moment, and root is root again', async () => {
  const dir = newDirectory();
  const root = process.getuid?.() === 0;
  const owner = root ? 65_537 : (process.getuid?.() ?? 0);
  chownSync(dir, owner, root ? 65_537 : (process.getgid?.() ?? 0));
  const groups = process.getgroups?.();
  const right = await becomeSole(dir);
  assert.deepEqual(
    readdirSync(dir).map((name) => [name, lstatSync(join(dir, name)).uid]),
    [['sole.1', owner]],
  );
  assert.deepEqual([process.geteuid?.(), process.getgroups?.()], [process.getuid?.(), groups]);
  right.release();
});
