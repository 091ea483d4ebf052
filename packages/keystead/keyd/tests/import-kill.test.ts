import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { SecretBytes } from '@keystead/core/crypto';
import { pino } from 'pino';
import { passphrase } from '../../ceremony/tests/rehearsal.ts';
import { Layout } from '../../files/layout.ts';
import { KeydClient } from '../../keyd-client/index.ts';
import { loadHierarchy, pinsPath, readPins } from '../hierarchy.ts';
import { importLater } from '../later-import.ts';
import { openKeyd } from '../main.ts';
import { KEYD_PASSPHRASE, KeydBed } from './bed.ts';
import { LaterCeremonies } from './later-bed.ts';

/**
 * An import in a process that is killed with SIGKILL when it is about to put its `at`th file in place. It names the files
 * that it has put in place when it gets to its end.
 */
const IMPORT = `
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
const [module, secret, bytes, clock, data, from, time, at] = process.argv.slice(1);
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
const { importLater } = await import(module);
const { Layout } = await import(secret);
const { SecretBytes } = await import(bytes);
const { SimulatedClock } = await import(clock);
const passphrase = async () => SecretBytes.take(new TextEncoder().encode('${KEYD_PASSPHRASE}'));
await importLater(new Layout(data), new SimulatedClock(new Date(time)), { from, passphrase });
process.stdout.write(JSON.stringify(names));
`;
const moduleAt = (path: string): string => new URL(path, import.meta.url).href;
const MODULES = [
  moduleAt('../later-import.ts'),
  moduleAt('../../files/layout.ts'),
  moduleAt('../../../core/crypto/index.ts'),
  moduleAt('../../../core/clock.ts'),
];

let bed: KeydBed;
let ceremonies: LaterCeremonies;
/** A new key of the server CA touches everything that an import can: keys, certificates, the evidence signer. */
let from: string;
before(async () => {
  bed = await KeydBed.make();
  ceremonies = new LaterCeremonies(bed);
  await bed.stop();
  from = await ceremonies.intermediate('server', { ca: 'server', key: 'successor' }, { revokeOld: 'superseded' });
});
after(() => bed.remove());

const dataAt = (name: string): Layout => {
  const layout = new Layout(ceremonies.out(name));
  cpSync(bed.rehearsal.layout.data, layout.data, { recursive: true });
  // The copy has other modes than the directory of a socket may have.
  rmSync(layout.run, { recursive: true });
  return layout;
};

async function importKilledAt(layout: Layout, at: number): Promise<{ signal: string | null; names: string[] }> {
  const time = bed.clock.now().toISOString();
  const args = ['--input-type=module', '-e', IMPORT, '--', ...MODULES, layout.data, from, time, String(at)];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const told: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => told.push(chunk));
  const [, signal] = (await once(child, 'close')) as [number | null, string | null];
  const text = Buffer.concat(told).toString();
  return { signal, names: text === '' ? [] : (JSON.parse(text) as string[]) };
}

/** What a keyd that starts there works by: the certificates in use, and what it signs. */
async function works(layout: Layout): Promise<{ issuer: string; trust: string[] }> {
  const channelKey = SecretBytes.random(32);
  const secrets = { passphrase: passphrase(KEYD_PASSPHRASE), channelKey: channelKey.use((b) => SecretBytes.copy(b)) };
  const keyd = await openKeyd({ layout, secrets, clock: bed.clock, log: pino({ level: 'silent' }) });
  const client = await KeydClient.connect(keyd.socketPath, channelKey);
  try {
    const { issuers } = await client.trust();
    const issuer = issuers.find(({ ca, current }) => ca === 'server' && current)?.id ?? 'none';
    const { crlNumbers } = await client.status();
    for (const { id } of issuers) await client.signCrl({ issuer: id, number: (crlNumbers[id] ?? 0) + 1, entries: [] });
    return { issuer, trust: readdirSync(layout.trust).sort() };
  } finally {
    client.close();
    await keyd.close();
  }
}

test('an import that is killed at any file leaves the old state or the new one, and keyd starts with it', async () => {
  const whole = dataAt('whole');
  const { names, signal } = await importKilledAt(whole, 0);
  assert.equal(signal, null);
  const done = await works(whole);
  assert.equal(done.issuer, 'server.2');
  const total = names.length;
  const pinned = 1 + names.indexOf(pinsPath(whole));
  assert.ok(pinned > 10 && pinned < total, `${pinned} of ${total}`);
  // Amid the copies; the pins; the first of what is published, one amid it, and the last of all, a list.
  for (const at of [9, pinned, pinned + 1, pinned + 9, total]) {
    const layout = dataAt(`killed-${at}`);
    const killed = await importKilledAt(layout, at);
    assert.equal(killed.signal, 'SIGKILL', `at ${at} of ${total}`);
    const found = await works(layout);
    assert.equal(
      found.issuer,
      at <= pinned ? 'server' : 'server.2',
      `killed at file ${at}, where the pins are ${pinned}`,
    );
    if (at > pinned) assert.deepEqual(found.trust, done.trust);
    // And the same import ends what was begun.
    await importLater(layout, bed.clock, { from, passphrase: async () => passphrase(KEYD_PASSPHRASE) });
    const { later, publishing } = readPins(layout) ?? assert.fail();
    assert.deepEqual([later.length, publishing], [1, false]);
    assert.deepEqual(readdirSync(layout.trust).sort(), done.trust);
    assert.ok(existsSync(join(layout.crl, 'root.crl')));
    loadHierarchy(layout);
  }
});
