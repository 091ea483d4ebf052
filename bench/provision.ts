import { mkdirSync } from 'node:fs';
import { csrFor, KEYD_PASSPHRASE, KeydBed, makeKey } from 'keystead/keyd/tests/bed.ts';
import { writeKeystoreConfig } from 'keystead/keystore/index.ts';
import { SoftHsm } from 'keystead/keystore/pkcs11/tests/softhsm.ts';
import { type Bench, latency } from './bench.ts';
import { type Figure, figure } from './figure.ts';
import { type LoadResult, resultOf } from './load/plan.ts';
import { rawSignatures } from './pkcs11.ts';

/** Units under way at once: eight stations, each with two units in hand. */
const AT_ONCE = 16;
/** Of each unit the IDevID and its record are signed, both by the token. */
const SIGNATURES = 2;
const TOKEN = 'keyd';

/** Units of a batch by keyd whose keys are on a token, against that token's own signatures. */
export async function provisionFigures(bench: Bench): Promise<Figure[]> {
  bench.note('setting up: keyd on a SoftHSM token');
  const hsm = new SoftHsm();
  bench.defer(() => hsm.remove());
  hsm.addToken(TOKEN, KEYD_PASSPHRASE);
  const bed = await KeydBed.make({}, ({ keyd }) => {
    mkdirSync(keyd, { recursive: true, mode: 0o700 });
    writeKeystoreConfig(keyd, hsm.config({ token: { label: TOKEN } }));
  });
  bench.defer(() => bed.remove());
  const each = bench.quick ? 100 : 500;
  const quota = (bench.rounds + 1) * each;
  const ticket = await bed.ticket({ quota, deviceIds: { prefix: 'U-', from: 1, to: quota, width: 6 } });
  bench.note(`setting up: ${quota} requests with fresh keys`);
  const requests: { readonly id: string; readonly csr: Uint8Array }[] = [];
  for (let number = 1; number <= quota; number += 1) {
    const id = `U-${String(number).padStart(6, '0')}`;
    requests.push({ id, csr: await csrFor(id, makeKey()) });
  }
  const units = async (round: number): Promise<LoadResult> => {
    const waiting = requests.slice(round * each, (round + 1) * each);
    const latencies: number[] = [];
    const started = performance.now();
    const station = async (number: number): Promise<void> => {
      for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
        const asked = performance.now();
        const at = { station: `station-${number}`, operator: 'lin', line: 'line-1' };
        await bed.client.provision({ ticket, deviceId: next.id, csr: next.csr, ...at, requestId: `bench-${next.id}` });
        latencies.push(performance.now() - asked);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, (_, number) => station(number)));
    return resultOf(latencies, (performance.now() - started) / 1000);
  };
  const [made, raw] = (await bench.compare({
    [`units, ${AT_ONCE} at once`]: units,
    'signatures of the token, raw': async () => rawSignatures(bench.seconds, TOKEN, 'ca-manufacturing'),
  })) as [LoadResult, LoadResult];
  return [
    figure(
      'units',
      made.perSecond,
      '1/s',
      raw.perSecond / SIGNATURES,
      `units provisioned by keyd on a SoftHSM token, ${AT_ONCE} at once: ticket, request checked, journal durable, IDevID and record signed and verified, ${latency(made)}, against half of what the same token signs in a loop: each unit takes ${SIGNATURES} signatures`,
    ),
  ];
}
