import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { randomBytes } from '@keystead/core/crypto';
import { buildOcspRequest, readCertificate } from '@keystead/core/x509';
import { firstCertificate } from 'keystead/start/fleet.ts';
import { type Bench, latency } from './bench.ts';
import { type Figure, figure } from './figure.ts';
import { type PlainLoad, plainLoad } from './load/wrk.ts';
import { cfsslOcspServe, installed } from './peers.ts';
import type { Rig } from './rig.ts';

const CONNECTIONS = 64;
const NONCES = 1000;
const STATIC = fileURLToPath(new URL('load/static.ts', import.meta.url));

/** OCSP over plain HTTP: kept answers by POST, and answers with a nonce, of which each is signed. */
export async function ocspFigures(bench: Bench, rig: Rig): Promise<Figure[]> {
  const { signing, seconds, generator } = bench;
  const devices = await rig.devices();
  const { world, layout } = await rig.deployment();
  const issuer = firstCertificate(readFileSync(join(layout.trust, 'manufacturing.pem'), 'utf8'));
  const serials = devices.map((device) => readCertificate(device.certificate).serial);
  const plain = serials.map((serial) => buildOcspRequest({ issuer, serial }));
  const nonced = Array.from({ length: NONCES }, () => serials)
    .flat()
    .slice(0, NONCES)
    .map((serial) => buildOcspRequest({ issuer, serial, nonce: randomBytes(16) }));
  const common = { host: '127.0.0.1', connections: CONNECTIONS, seconds };
  const posts: Omit<PlainLoad, 'bodies' | 'port' | 'path'> = {
    ...common,
    method: 'POST',
    headers: { 'Content-Type': 'application/ocsp-request' },
  };
  const ocsp = { port: world.config.ports.http, path: '/ocsp/manufacturing' };
  const fixed = { port: await staticServer(bench), path: '/' };

  const cfssl = installed(bench, 'cfssl', 'ocsp-answers-vs-cfssl');
  const answers = cfssl ? plain.map((request) => answerOf(`${world.httpUrl}${ocsp.path}`, request)) : [];
  const port = cfssl ? await cfsslOcspServe(bench, await Promise.all(answers)) : 0;
  const run = (target: { port: number; path: string }) => () =>
    plainLoad({ ...posts, ...target, bodies: plain }, generator);
  const [limit, kept, peer] = await bench.compare({
    'limit: a fixed answer of node:http': run(fixed),
    'OCSP answers': run(ocsp),
    ...(cfssl && { 'cfssl ocspserve': run({ port, path: '/' }) }),
  });
  if (limit === undefined || kept === undefined) throw new TypeError('nothing was measured');
  const signed = await bench.measure('OCSP answers with a nonce', () =>
    plainLoad({ ...posts, ...ocsp, bodies: nonced }, generator),
  );
  const what = `OCSP by POST for ${serials.length} certificates, kept answers, ${CONNECTIONS} kept connections, ${latency(kept)}`;
  const fixedWhat = `against a fixed 256-byte answer of node:http to the same requests (${generator})`;
  const nonceWhat = `OCSP by POST with a nonce: each answer is signed by keyd for its request, ${latency(signed)}`;
  const figures = [
    figure('ocsp-answers', kept.perSecond, '1/s', limit.perSecond, `${what}, ${fixedWhat}`),
    figure(
      'ocsp-answers-nonce',
      signed.perSecond,
      '1/s',
      signing,
      `${nonceWhat}, against openssl speed signing with P-256 on one core`,
    ),
  ];
  if (peer === undefined) return figures;
  const against = `against cfssl ocspserve with the same requests and the same answers, signed beforehand, ${latency(peer)}`;
  return [...figures, figure('ocsp-answers-vs-cfssl', kept.perSecond, '1/s', peer.perSecond, `${what}, ${against}`)];
}

async function answerOf(url: string, request: Uint8Array): Promise<Uint8Array> {
  const headers = { 'Content-Type': 'application/ocsp-request' };
  const response = await fetch(url, { method: 'POST', headers, body: Buffer.from(request) });
  return new Uint8Array(await response.arrayBuffer());
}

/** The limit, in a process of its own as serve is. */
async function staticServer(bench: Bench): Promise<number> {
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', STATIC], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  bench.defer(() => child.kill('SIGKILL'));
  for await (const line of createInterface({ input: child.stdout })) return JSON.parse(line).port;
  throw new Error('the static server did not start');
}
