import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync, readSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { createSealedKeystore } from '../index.ts';
import { parseSealedFile } from '../sealed-format.ts';
import { Sealing } from '../sealing.ts';
import { clock, ended, inTemporaryDirectory, phrase, source } from './support.ts';

const PASSPHRASE = 'correct horse battery staple';

/** Opens a keystore, signs, and does what each line on stdin says; answers each with the same line. */
const SCRIPT = `
  import { createInterface } from 'node:readline';
  import { openSealedKeystore, readPassphrase } from ${source('keystore/index.ts')};
  import { systemClock } from ${source('clock/system.ts')};
  const [, , path = '', passphraseFile = ''] = process.argv;
  const passphrase = await readPassphrase({ file: passphraseFile });
  const keystore = await openSealedKeystore(path, passphrase, systemClock);
  passphrase.wipe();
  await keystore.signer('ca').sign(new Uint8Array(3));
  console.log('open');
  for await (const line of createInterface(process.stdin)) {
    if (line === 'close') keystore.close();
    if (line === 'collect') globalThis.gc?.();
    console.log(line);
  }`;

/** How often each needle stands in the readable memory of a process (proc(5)). */
function countInMemory(pid: number, needles: readonly Buffer[]): number[] {
  const memory = openSync(`/proc/${pid}/mem`, 'r');
  const counts = needles.map(() => 0);
  for (const line of readFileSync(`/proc/${pid}/maps`, 'utf8').split('\n')) {
    const match = /^([0-9a-f]+)-([0-9a-f]+) r[w-]/.exec(line);
    if (match === null || line.includes('[v')) continue;
    const [from, to] = [BigInt(`0x${match[1]}`), BigInt(`0x${match[2]}`)];
    const region = readRegion(memory, from, to);
    for (const [index, needle] of needles.entries()) counts[index] = (counts[index] ?? 0) + occurrences(region, needle);
  }
  closeSync(memory);
  return counts;
}

/** Regions that cannot be read (guard pages, or what is only reserved) are empty; nothing lies in them. */
function readRegion(memory: number, from: bigint, to: bigint): Buffer {
  if (to - from > 1n << 29n) return Buffer.alloc(0);
  const region = Buffer.alloc(Number(to - from));
  try {
    return region.subarray(0, readSync(memory, region, 0, region.length, from));
  } catch {
    return Buffer.alloc(0);
  }
}

function occurrences(region: Buffer, needle: Buffer): number {
  let count = 0;
  for (let at = region.indexOf(needle); at !== -1; at = region.indexOf(needle, at + 1)) count += 1;
  return count;
}

async function ask(child: ChildProcess, line: string): Promise<void> {
  const answer = once(child.stdout ?? child, 'data');
  child.stdin?.write(`${line}\n`);
  await answer;
}

test('a closed keystore leaves no private key in memory once the garbage is collected, and at no time a PKCS#8 key', async () => {
  await inTemporaryDirectory(async (dir) => {
    const [path, passphraseFile, program] = ['keystore.sealed', 'passphrase', 'program.ts'].map((name) =>
      join(dir, name),
    ) as [string, string, string];
    const keystore = await createSealedKeystore(path, phrase(PASSPHRASE), clock);
    await keystore.generate('ca', 'P-256', '');
    keystore.close();
    const file = parseSealedFile(readFileSync(path));
    const [sealed] = file.keys;
    assert.ok(sealed);
    const pkcs8 = (await Sealing.fromPassphrase(file.header, phrase(PASSPHRASE))).open(sealed);
    // RFC 5915: the 32 bytes of the scalar begin at octet 36 of a P-256 PKCS#8 key; OpenSSL keeps them the other way round.
    const scalar = pkcs8.use((der) => Buffer.from(der.subarray(36, 68)));
    const needles = [scalar, Buffer.from(scalar).reverse()];

    writeFileSync(passphraseFile, PASSPHRASE, { mode: 0o600 });
    writeFileSync(program, SCRIPT);
    const child = spawn(process.execPath, ['--expose-gc', program, path, passphraseFile], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    await once(child.stdout, 'data');
    const { pid } = child;
    assert.ok(pid);
    const [asPkcs8, asNumber] = countInMemory(pid, needles);
    assert.equal(asPkcs8, 0);
    // Without this the search would prove nothing.
    assert.ok((asNumber ?? 0) > 0, 'the open key is found');

    await ask(child, 'close');
    let left = [1, 1];
    for (let attempt = 0; attempt < 20 && left.some((count) => count > 0); attempt += 1) {
      await ask(child, 'collect');
      left = countInMemory(pid, needles);
    }
    assert.deepEqual(left, [0, 0]);
    child.stdin.end();
    await ended(child);
  });
});
