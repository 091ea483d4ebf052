import { join } from 'node:path';
import type { Serial } from '@keystead/core/bytes';
import { newSerial } from '@keystead/core/x509';
import type { Bench } from './bench.ts';
import { type Figure, figure, median } from './figure.ts';
import { opensslCrl } from './peers.ts';
import type { Rig } from './rig.ts';

const ENTRIES = 100_000;
/** What fits in a frame to keyd. */
const PER_FRAME = 50_000;

/** A CRL of 100,000 entries by keyd, which remembers what it has listed, and by `openssl ca`, which reads its index. */
export async function crlFigures(bench: Bench, rig: Rig): Promise<Figure[]> {
  const keyd = await rig.keyd();
  bench.note(`setting up: ${ENTRIES} revocations`);
  const serials: Serial[] = Array.from({ length: ENTRIES }, newSerial);
  const peer = opensslCrl(join(bench.folder, 'crl'), serials);
  const revokedAt = new Date();
  let number = (await keyd.status()).crlNumbers.operational ?? 0;
  const make = async (entries: { serial: Serial; revokedAt: Date; reason: 'superseded' }[]): Promise<number> => {
    number += 1;
    const started = performance.now();
    await keyd.signCrl({ issuer: 'operational', number, entries });
    return (performance.now() - started) / 1000;
  };
  let first = 0;
  for (let from = 0; from < ENTRIES; from += PER_FRAME) {
    const page = serials.slice(from, from + PER_FRAME);
    first += await make(page.map((serial) => ({ serial, revokedAt, reason: 'superseded' })));
  }
  bench.note(`CRL of ${ENTRIES} entries, all of them new to keyd: ${first.toFixed(2)} s`);
  const ours: number[] = [];
  const theirs: number[] = [];
  for (let round = 0; round < bench.rounds; round += 1) {
    ours.push(await make([]));
    theirs.push(peer.make());
    bench.note(`CRL, round ${round + 1}: ${ours.at(-1)?.toFixed(2)} s, openssl ca ${theirs.at(-1)?.toFixed(2)} s`);
  }
  const known = `${first.toFixed(2)} s when all entries are new to keyd and come in two frames, each answered with a CRL`;
  return [
    figure(
      'crl-100000-vs-openssl',
      median(ours),
      's',
      median(theirs),
      `the next CRL of ${ENTRIES} entries by keyd through its socket (${known}), against openssl ca -gencrl; less is better`,
    ),
  ];
}
