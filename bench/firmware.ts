import { mkdirSync } from 'node:fs';
import { firmwareFormat, imageOf } from '@keystead/core/firmware';
import { firmwareKeystoreId } from '@keystead/core/lifecycle';
import { KEYD_PASSPHRASE } from 'keystead/keyd/tests/bed.ts';
import { FirmwareBed } from 'keystead/keyd/tests/firmware-bed.ts';
import { writeKeystoreConfig } from 'keystead/keystore/index.ts';
import { SoftHsm } from 'keystead/keystore/pkcs11/tests/softhsm.ts';
import { type Bench, latency } from './bench.ts';
import { type Figure, figure } from './figure.ts';
import { type LoadResult, resultOf } from './load/plan.ts';
import { rawSignatures } from './pkcs11.ts';

/** Orders under way at once: more than release engineers have in hand. */
const AT_ONCE = 16;
const TOKEN = 'firmware';
const KEY = 'pump-1';

/** Approved orders of firmware that keyd signs by a key on a token, against that token's own signatures. */
export async function firmwareFigures(bench: Bench): Promise<Figure[]> {
  bench.note('setting up: keyd with firmware keys on a SoftHSM token');
  const hsm = new SoftHsm();
  bench.defer(() => hsm.remove());
  hsm.addToken(TOKEN, KEYD_PASSPHRASE);
  const bed = await FirmwareBed.make({}, ({ keyd }) => {
    mkdirSync(keyd, { recursive: true, mode: 0o700 });
    writeKeystoreConfig(keyd, hsm.config({ token: { label: TOKEN } }));
  });
  bench.defer(() => bed.keyd.remove());
  const each = bench.quick ? 50 : 400;
  const all = (bench.rounds + 1) * each;
  bench.note(`setting up: ${all} orders, each asked for by one person and approved by another`);
  const orders: Awaited<ReturnType<FirmwareBed['approved']>>[] = [];
  for (let number = 1; number <= all; number += 1) {
    const image = Buffer.from(`image ${number}`);
    const { subject } = await firmwareFormat('cms').read(imageOf(image));
    // Each of a part of the device of its own: of one part no version may go back, and they end in any order.
    orders.push(await bed.approved({ format: 'cms', subject, keys: [KEY], target: `part-${number}` }));
  }
  const signed = async (round: number): Promise<LoadResult> => {
    const waiting = orders.slice(round * each, (round + 1) * each);
    const latencies: number[] = [];
    const started = performance.now();
    const caller = async (): Promise<void> => {
      for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
        const asked = performance.now();
        const { order: _order, ...params } = next;
        await bed.keyd.client.signFirmware(params);
        latencies.push(performance.now() - asked);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, caller));
    return resultOf(latencies, (performance.now() - started) / 1000);
  };
  const [made, raw] = (await bench.compare({
    [`orders of firmware, ${AT_ONCE} at once`]: signed,
    'signatures of the token, raw': async () => rawSignatures(bench.seconds, TOKEN, firmwareKeystoreId(KEY)),
  })) as [LoadResult, LoadResult];
  return [
    figure(
      'firmware-orders',
      made.perSecond,
      '1/s',
      raw.perSecond,
      `orders of firmware carried out by keyd with its key on a SoftHSM token, ${AT_ONCE} at once: two statements of people verified, order and signature durable in the journal one after the other, the signature verified, ${latency(made)}, against what the same token signs in a loop`,
    ),
  ];
}
