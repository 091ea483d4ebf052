import { toBase64, toPem } from '@keystead/core/bytes';
import { type Bench, latency } from './bench.ts';
import { type Figure, figure } from './figure.ts';
import { ownLoad } from './load/own.ts';
import type { LoadResult } from './load/plan.ts';
import { cfsslServe, installed } from './peers.ts';
import { type BenchDevice, type Rig, requestsOf } from './rig.ts';

/**
 * Enrolments: simpleenroll of EST over mutual TLS on kept connections, one for each device with its own IDevID, each
 * request for a key never seen before. What is answered stands in keyd's journal, in the records and in the audit log.
 */
export async function enrolFigures(bench: Bench, rig: Rig): Promise<Figure[]> {
  const { signing } = bench;
  const devices = await rig.devices();
  const { world } = await rig.deployment();
  const each = bench.quick ? 20 : 100;
  const plans: { identity: { cert: string; key: string }; bodies: string[] }[][] = [];
  bench.note(`setting up: ${(bench.rounds + 1) * devices.length * each} requests with fresh keys`);
  for (let round = 0; round <= bench.rounds; round += 1) {
    const connections = devices.map(async (device) => {
      const requests = await requestsOf(device, each);
      // The body is base64 text, and the plan carries bodies in base64.
      return { identity: device.identity, bodies: requests.map((csr) => toBase64(Buffer.from(toBase64(csr)))) };
    });
    plans.push(await Promise.all(connections));
  }
  const enrol = (round: number): Promise<LoadResult> =>
    ownLoad({
      host: world.config.host,
      port: world.config.ports.https,
      anchor: world.rootPem,
      method: 'POST',
      path: '/.well-known/est/simpleenroll',
      headers: { 'Content-Type': 'application/pkcs10', 'Content-Transfer-Encoding': 'base64' },
      connections: plans[round] ?? [],
    });
  const peerLoad = await cfsslLoad(bench, devices);
  const [ours, peer] = await bench.compare({ enrolments: enrol, ...(peerLoad && { 'cfssl serve': peerLoad }) });
  if (ours === undefined) throw new TypeError('nothing was measured');
  const what = `EST simpleenroll over mutual TLS, ${devices.length} kept connections, durable and audited, ${latency(ours)}`;
  const limit = 'against openssl speed signing with P-256 on one core';
  const figures = [figure('enrolments', ours.perSecond, '1/s', signing, `${what}, ${limit}`)];
  if (peer === undefined) return figures;
  const against = `against cfssl serve, which signs posted CSRs over plain HTTP and stores nothing, ${latency(peer)}`;
  return [...figures, figure('enrolments-vs-cfssl', ours.perSecond, '1/s', peer.perSecond, `${what}, ${against}`)];
}

/** The same load on `cfssl serve`, without TLS; undefined where it is not installed. */
async function cfsslLoad(
  bench: Bench,
  devices: readonly BenchDevice[],
): Promise<(() => Promise<LoadResult>) | undefined> {
  const [device] = devices;
  if (device === undefined || !installed(bench, 'cfssl', 'enrolments-vs-cfssl')) return undefined;
  const port = await cfsslServe(bench);
  const requests = await requestsOf(device, 100);
  const bodies = requests.map((csr) =>
    toBase64(Buffer.from(JSON.stringify({ certificate_request: toPem('CERTIFICATE REQUEST', csr) }))),
  );
  return () =>
    ownLoad({
      host: '127.0.0.1',
      port,
      method: 'POST',
      path: '/api/v1/cfssl/sign',
      headers: { 'Content-Type': 'application/json' },
      connections: devices.map(() => ({ bodies })),
      seconds: bench.seconds,
    });
}
