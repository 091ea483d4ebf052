import { SecretBytes } from '@keystead/core/crypto';
import { systemClock } from 'keystead/clock/system.ts';
import { Layout } from 'keystead/files/layout.ts';
import { openRooms } from 'keystead/serve/open-rooms.ts';
import { pino } from 'pino';
import { type Bench, latency } from './bench.ts';
import { type Figure, figure } from './figure.ts';
import { type LoadResult, resultOf } from './load/plan.ts';
import { type BenchDevice, type Rig, requestsOf } from './rig.ts';

/** Requests under way at once. */
const PIPELINED = 64;

interface Order {
  readonly device: BenchDevice;
  readonly csr: Uint8Array;
}

/** Issuing without HTTP: by keyd alone through its socket, and with the records and the audit log. */
export async function issueFigures(bench: Bench, rig: Rig): Promise<Figure[]> {
  const { signing } = bench;
  const devices = await rig.devices();
  const keyd = await rig.keyd();
  const { layout } = await rig.deployment();
  const each = bench.quick ? 20 : 100;
  const batches: Order[][] = [];
  bench.note(`setting up: ${(bench.rounds + 1) * devices.length * each} requests with fresh keys`);
  for (let round = 0; round <= bench.rounds; round += 1) batches.push(await ordersOf(devices, each));
  const nextOf = (round: number): Order[] => batches[round] ?? [];

  const bare = await bench.measure('issuances by keyd', (round) =>
    pipelined(nextOf(round), ({ device, csr }, at) =>
      keyd.issue({
        profile: 'ldevid',
        csr,
        requester: { kind: 'device', id: device.id, certificate: device.certificate },
        requestId: `bench-${round}-${at}`,
      }),
    ),
  );
  const rooms = await openRooms({
    sealingKey: SecretBytes.random(32),
    layout: new Layout(layout.data),
    keyd,
    clock: systemClock,
    log: pino({ level: 'silent' }),
  });
  bench.defer(() => rooms.close());
  // Finds the signatures of above, which are in no records, as after a crash.
  bench.note('reconciling the records with keyd');
  await rooms.start();
  const recorded = await bench.measure('issuances with records', (round) =>
    pipelined(nextOf(round), async ({ device, csr }, at) => {
      const requestId = `bench-recorded-${round}-${at}`;
      const client = await rooms.access.identify(device.certificate, { requestId, what: 'enrol' });
      await rooms.authority.enrol({ client, csr, requestId });
    }),
  );
  const limit = 'against openssl speed signing with P-256 on one core';
  return [
    figure(
      'issuances',
      bare.perSecond,
      '1/s',
      signing,
      `certificates by keyd through its socket, ${PIPELINED} under way: request checked, linted, signed, verified, journal durable, ${latency(bare)}, ${limit}`,
    ),
    figure(
      'issuances-recorded',
      recorded.perSecond,
      '1/s',
      signing,
      `the same with client certificate, records and audit log, without TLS and HTTP, ${latency(recorded)}, ${limit}`,
    ),
  ];
}

async function ordersOf(devices: readonly BenchDevice[], each: number): Promise<Order[]> {
  const orders: Order[] = [];
  for (const device of devices) for (const csr of await requestsOf(device, each)) orders.push({ device, csr });
  return orders;
}

/** Works through the orders, always {@link PIPELINED} of them at once. */
async function pipelined(
  orders: readonly Order[],
  work: (order: Order, at: number) => Promise<unknown>,
): Promise<LoadResult> {
  const latencies: number[] = [];
  const started = performance.now();
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let at = next++; at < orders.length; at = next++) {
      const order = orders[at];
      if (order === undefined) return;
      const sent = performance.now();
      await work(order, at);
      latencies.push(performance.now() - sent);
    }
  };
  await Promise.all(Array.from({ length: PIPELINED }, worker));
  return resultOf(latencies, (performance.now() - started) / 1000);
}
