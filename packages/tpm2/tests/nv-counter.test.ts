import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SecretBytes } from '@keystead/core/crypto';
import {
  defineCounter,
  MARK_BYTES,
  type NvCounter,
  readCounter,
  stepCounter,
  undefineCounter,
} from '../objects/nv-counter.ts';
import { Tpm } from '../tpm.ts';
import type { Swtpm } from './swtpm.ts';
import { tpmOfFile } from './tpm-of-file.ts';

let swtpm: Swtpm;
let tpm: Tpm;
tpmOfFile({}, (...made) => {
  [tpm, swtpm] = made;
});

async function define(index: number): Promise<NvCounter & { value: number }> {
  const auth = SecretBytes.random(32);
  const made = await tpm.use((channel) => defineCounter(channel, { index, auth }));
  return { index, auth, ...made };
}
const hexOf = (index: number): string => `0x${index.toString(16)}`;
const mark = new Uint8Array(MARK_BYTES).fill(0xa5);
const numberOf = async (counter: NvCounter): Promise<number> =>
  (await tpm.use((channel) => readCounter(channel, counter))).value;
/** What tpm2-tools read with the owner's authorization. */
const toolRead = (index: number): number =>
  Number(BigInt(`0x${Buffer.from(swtpm.tool('tpm2_nvread', hexOf(index), '-C', 'o'), 'latin1').toString('hex')}`));

test('a counter goes up by one at each step, and tpm2_nvread reads the same [tpm2-tools: TPM2 NV_Read]', async () => {
  const counter = await define(0x01810001);
  assert.equal(toolRead(counter.index), counter.value);
  for (let step = 1; step <= 5; step += 1) {
    assert.equal(await tpm.use((channel) => stepCounter(channel, counter, mark)), counter.value + step);
  }
  assert.equal(await numberOf(counter), counter.value + 5);
  assert.equal(toolRead(counter.index), counter.value + 5);
  assert.deepEqual((await tpm.use((channel) => readCounter(channel, counter))).mark, mark);
  assert.match(swtpm.tool('tpm2_nvreadpublic', hexOf(counter.index)), /nt=0x1|counter/);
});

test('a counter cannot be written, and is used by nobody without its value', async () => {
  const counter = await define(0x01810011);
  assert.throws(() => swtpm.tool('tpm2_nvincrement', hexOf(counter.index), '-C', 'o'));
  assert.throws(() => swtpm.tool('tpm2_nvincrement', hexOf(counter.index)));
  const guess = { ...counter, auth: SecretBytes.random(32) };
  await assert.rejects(
    tpm.use((channel) => stepCounter(channel, guess, mark)),
    { code: 'tpm2.auth-failed' },
  );
  await assert.rejects(
    tpm.use((channel) => readCounter(channel, guess)),
    { code: 'tpm2.auth-failed' },
  );
  assert.equal(await numberOf(counter), counter.value);
});

test('a counter that was undefined and defined again never shows a value of before', async () => {
  const before = await define(0x01810021);
  let last = before.value;
  for (let step = 0; step < 7; step += 1) last = await tpm.use((channel) => stepCounter(channel, before, mark));
  await assert.rejects(define(0x01810021), { code: 'tpm2.counter-exists' });
  await tpm.use((channel) => undefineCounter(channel, before.index));
  await assert.rejects(
    tpm.use((channel) => readCounter(channel, before)),
    { code: 'tpm2.counter-missing' },
  );
  const after = await define(0x01810021);
  assert.ok(after.value > last, `${after.value} after ${last}`);
  // The value that authorizes it is another: who had the first counter is told.
  await assert.rejects(
    tpm.use((channel) => readCounter(channel, before)),
    { code: 'tpm2.auth-failed' },
  );
});

test('a value with trailing zeros authorizes as the TPM takes it (Part 1 section 19.6.4)', async () => {
  const bytes = new Uint8Array(32).fill(7);
  bytes.fill(0, 29);
  const auth = SecretBytes.take(bytes);
  const index = 0x01810031;
  const made = await tpm.use((channel) => defineCounter(channel, { index, auth }));
  assert.equal(await tpm.use((channel) => stepCounter(channel, { index, auth, ...made }, mark)), made.value + 1);
});

test('an index that is something else, another TPM, and a reboot are each told as what they are', async () => {
  const counter = await define(0x01810041);
  swtpm.tool('tpm2_nvdefine', '0x01810051', '-C', 'o', '-s', '8', '-a', 'authread|authwrite|ownerread|no_da');
  await assert.rejects(
    tpm.use((channel) => readCounter(channel, { ...counter, index: 0x01810051 })),
    { code: 'tpm2.counter-missing', seen: '0x01810051 is something else' },
  );
  await assert.rejects(
    tpm.use((channel) => readCounter(channel, { ...counter, storageRoot: '00' })),
    { code: 'tpm2.other-tpm' },
  );
  const value = await tpm.use((channel) => stepCounter(channel, counter, mark));
  await swtpm.end();
  await swtpm.boot();
  const again = await Tpm.open(swtpm.address);
  try {
    // A power cut takes nothing from it, and adds nothing.
    assert.equal((await again.use((channel) => readCounter(channel, counter))).value, value);
  } finally {
    await again.close();
  }
});
