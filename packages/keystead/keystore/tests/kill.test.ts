import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { randomBytes, verifySignature } from '@keystead/core/crypto';
import { createSealedKeystore, openSealedKeystore } from '../index.ts';
import { clock, ended, inTemporaryDirectory, phrase, source, startScript } from './support.ts';

const PASSPHRASE = 'correct horse battery staple';

/** Makes and destroys keys as fast as it can; says so on stdout after each promise has resolved. */
const SCRIPT = `
  import { writeSync } from 'node:fs';
  import { openSealedKeystore } from ${source('keystore/index.ts')};
  import { systemClock } from ${source('clock/system.ts')};
  const [, , path = '', round = ''] = process.argv;
  const { SecretBytes } = await import(${JSON.stringify(import.meta.resolve('@keystead/core/crypto'))});
  const keystore = await openSealedKeystore(path, SecretBytes.copy(Buffer.from('${PASSPHRASE}')), systemClock);
  for (let n = 0; ; n += 1) {
    const id = 'key-' + round + '-' + n;
    await keystore.generate(id, 'P-256', 'kill test');
    writeSync(1, 'made ' + id + '\\n');
    if (n % 3 === 2) {
      await keystore.destroy(id);
      writeSync(1, 'destroyed ' + id + '\\n');
    }
  }`;

test('kill -9 at any moment of writing loses no acknowledged key, revives no destroyed one, and leaves a file that opens', async () => {
  await inTemporaryDirectory(async (dir) => {
    const path = join(dir, 'keystore.sealed');
    const made = new Set<string>(['ca']);
    const destroyed = new Set<string>();
    const first = await createSealedKeystore(path, phrase(PASSPHRASE), clock);
    await first.generate('ca', 'P-256', '');
    first.close();
    for (let round = 0; round < 10; round += 1) {
      const child = startScript(dir, SCRIPT, [path, String(round)], ['ignore', 'pipe', 'inherit']);
      let said = '';
      child.stdout?.on('data', (chunk: Buffer) => {
        said += chunk.toString();
      });
      await once(child.stdout ?? child, 'data');
      setTimeout(() => child.kill('SIGKILL'), (randomBytes(1)[0] ?? 0) / 4);
      assert.equal((await ended(child)).signal, 'SIGKILL');
      for (const line of said.split('\n').slice(0, -1)) {
        const [what, id = ''] = line.split(' ');
        (what === 'made' ? made : destroyed).add(id);
      }
      const keystore = await openSealedKeystore(path, phrase(PASSPHRASE), clock);
      const ids = new Set(keystore.list().map(({ id }) => id));
      for (const id of destroyed) assert.equal(ids.has(id), false, `${id} was destroyed`);
      // The very last step may be done without having been acknowledged.
      const missing = [...made].filter((id) => !destroyed.has(id) && !ids.has(id));
      assert.ok(
        missing.every((id) => id === [...made].at(-1) && Number(id.split('-')[2]) % 3 === 2),
        `lost: ${missing}`,
      );
      for (const id of missing) destroyed.add(id);
      for (const id of ids) made.add(id);
      const signer = keystore.signer([...ids].at(-1) ?? '');
      const data = randomBytes(8);
      assert.equal(verifySignature(signer.signatureAlgorithm, signer.spki, data, await signer.sign(data)), true);
      keystore.close();
      assert.deepEqual(readdirSync(dir).sort(), ['keystore.sealed', 'script.ts']);
    }
    assert.ok(made.size > 10, `${made.size} keys`);
  });
});
