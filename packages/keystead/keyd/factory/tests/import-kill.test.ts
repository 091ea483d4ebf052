import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Layout } from '../../../files/layout.ts';
import { openHierarchy } from '../hierarchy.ts';
import { importCommission } from '../import.ts';
import { nodePinsPath, readNodePins } from '../pins.ts';
import { NODE_PASSPHRASE, NodeBed, passphrase } from './node-bed.ts';

/** An import in a process that is killed with SIGKILL when it is about to put its `at`th file in place. */
const IMPORT = `
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
const [module, secret, bytes, clock, data, from, root, time, at] = process.argv.slice(1);
const rename = fs.renameSync;
let count = 0;
const names = [];
fs.renameSync = (temporary, path) => {
  count += 1;
  names.push(path);
  if (count === Number(at)) process.kill(process.pid, 'SIGKILL');
  rename(temporary, path);
};
syncBuiltinESMExports();
const { importCommission } = await import(module);
const { Layout } = await import(secret);
const { SecretBytes } = await import(bytes);
const { SimulatedClock } = await import(clock);
const passphrase = async () => SecretBytes.take(new TextEncoder().encode('${NODE_PASSPHRASE}'));
const file = fs.readFileSync(from);
await importCommission(new Layout(data), new SimulatedClock(new Date(time)), { file, rootSha256: root, passphrase });
process.stdout.write(JSON.stringify(names));
`;
const moduleAt = (path: string): string => new URL(path, import.meta.url).href;
const MODULES = [
  moduleAt('../import.ts'),
  moduleAt('../../../files/layout.ts'),
  moduleAt('../../../../core/crypto/index.ts'),
  moduleAt('../../../../core/clock.ts'),
];

let bed: NodeBed;
before(async () => {
  bed = await NodeBed.asking();
});
after(() => bed.remove());

function copyOf(name: string): Layout {
  const layout = new Layout(join(bed.dir, name));
  cpSync(bed.layout.data, layout.data, { recursive: true });
  rmSync(layout.run, { recursive: true, force: true });
  return layout;
}

async function killedAt(layout: Layout, from: string, at: number): Promise<{ signal: string | null; names: string[] }> {
  const { rootSha256 } = bed.headquarters;
  const args = [...MODULES, layout.data, from, rootSha256, bed.clock.now().toISOString(), String(at)];
  const child = spawn(process.execPath, ['--input-type=module', '-e', IMPORT, '--', ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const told: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => told.push(chunk));
  const [, signal] = (await once(child, 'close')) as [number | null, string | null];
  const text = Buffer.concat(told).toString();
  return { signal, names: text === '' ? [] : (JSON.parse(text) as string[]) };
}

async function killEverywhere(name: string, from: string, text: string, before: number, number: number): Promise<void> {
  const whole = copyOf(`${name}-whole`);
  const { names } = await killedAt(whole, from, 0);
  const trust = readdirSync(whole.trust).sort();
  const pinned = 1 + names.indexOf(nodePinsPath(whole));
  const total = names.length;
  assert.ok(pinned >= 1 && total > pinned + 10, `${pinned} of ${total}`);
  for (const at of number === 1 ? [pinned, pinned + 1, total] : [1, pinned, pinned + 6]) {
    const layout = copyOf(`${name}-${at}`);
    const killed = await killedAt(layout, from, at);
    assert.equal(killed.signal, 'SIGKILL', `at ${at} of ${total}`);
    const commission = readNodePins(layout)?.commissions.at(-1)?.number ?? 0;
    assert.equal(commission, at <= pinned ? before : number, `killed at file ${at}, where the pins are ${pinned}`);
    // keyd's start ends what was begun, and the same import again changes nothing more.
    if (commission > 0) assert.equal(openHierarchy(layout).node?.number, commission);
    await importCommission(layout, bed.clock, {
      file: Buffer.from(text),
      rootSha256: bed.headquarters.rootSha256,
      passphrase: async () => passphrase(),
    });
    assert.equal(readNodePins(layout)?.publishing, false);
    assert.equal(openHierarchy(layout).node?.number, number);
    assert.deepEqual(readdirSync(layout.trust).sort(), trust);
  }
}

test('an import that is killed at any file leaves no commission or the whole, the old one or the new (TEST-KEY-17)', async () => {
  const from = join(bed.dir, 'commission.json');
  const first = await bed.commission();
  writeFileSync(from, first);
  await killEverywhere('first', from, first, 0, 1);
  await bed.import(first);
  const renewal = await bed.commission({ act: 'renew', number: 2 });
  writeFileSync(from, renewal);
  await killEverywhere('renewal', from, renewal, 1, 2);
});
