import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Serial } from '@keystead/core/bytes';
import { newSerial } from '@keystead/core/x509';
import { StagedFile } from 'keystead/files/staged.ts';
import type { KeydClient } from 'keystead/keyd-client/index.ts';
import type { Bench } from './bench.ts';
import { type Figure, figure, median } from './figure.ts';
import { opensslCrl } from './peers.ts';
import type { Rig } from './rig.ts';

const SIZES = [100_000, 1_000_000] as const;
/** As the authority sends them. */
const PER_MESSAGE = 5000;
/** What a list of a million may take, kB. */
const MOST_KB = 150_000;

/**
 * CRLs of 100,000 and of 1,000,000 entries, from the request to the published file: composed and signed by keyd, which
 * has read its list from its journal, taken over as the authority does, durable and in its place; and by `openssl ca`,
 * which reads its index.
 */
export async function crlFigures(bench: Bench, rig: Rig): Promise<Figure[]> {
  const idle = memoryOf((await rig.restartedKeyd()).pid).now;
  const serials: Serial[] = [];
  const figures: Figure[] = [];
  for (const size of SIZES) {
    bench.note(`setting up: ${size} revocations`);
    const fresh = Array.from({ length: size - serials.length }, newSerial);
    for (const serial of fresh) serials.push(serial);
    const known = await list(await rig.keyd(), fresh);
    const peer = opensslCrl(join(bench.folder, `crl-${size}`), serials);
    const { client, pid } = await rig.restartedKeyd();
    const make = maker(
      client,
      join(bench.folder, 'published.crl'),
      (await client.status()).crlNumbers.operational ?? 0,
    );
    const before = memoryOf(pid).now;
    // proc(5): the highest mark begins again at what is used now.
    writeFileSync(`/proc/${pid}/clear_refs`, '5');
    const ours: number[] = [];
    const theirs: number[] = [];
    for (let round = 0; round < bench.rounds; round += 1) {
      ours.push(await make());
      theirs.push(peer.make());
      bench.note(`CRL of ${size}: ${ours.at(-1)?.toFixed(2)} s, openssl ca ${theirs.at(-1)?.toFixed(2)} s`);
    }
    const { highest } = memoryOf(pid);
    const use = `keyd had ${mb(idle)} MB without a list, ${mb(before)} MB with it, and ${mb(highest)} MB at most while it made CRLs`;
    const what = `a CRL of ${size} entries from the request to the durable file (keyd took them onto its list in ${known.toFixed(1)} s; ${use}), against openssl ca -gencrl; less is better`;
    figures.push(figure(`crl-${size}-vs-openssl`, median(ours), 's', median(theirs), what));
    if (size !== 1_000_000) continue;
    const memory =
      'what a list of 1,000,000 and making CRLs of it add to keyd at the highest, against 150 MB; less is better';
    figures.push(figure('crl-1000000-memory', highest - idle, 'kB', MOST_KB, memory));
  }
  return figures;
}

/** Makes one CRL after another. @returns seconds. */
function maker(keyd: KeydClient, published: string, last: number): () => Promise<number> {
  let number = last;
  return async () => {
    number += 1;
    const started = performance.now();
    const { file } = await keyd.signCrl({ issuer: 'operational', number, entries: [] });
    (await StagedFile.copy(keyd.crlFile(file ?? ''), published, { mode: 0o644 })).put();
    return (performance.now() - started) / 1000;
  };
}

/** Memory of a process now and at its highest, kB. */
function memoryOf(pid: number): { now: number; highest: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'latin1');
  const kb = (name: string): number => Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)?.[1]);
  return { now: kb('VmRSS'), highest: kb('VmHWM') };
}

const mb = (kb: number): string => (kb / 1024).toFixed(0);

/** @returns seconds. */
async function list(keyd: KeydClient, serials: readonly Serial[]): Promise<number> {
  const started = performance.now();
  const revokedAt = new Date();
  for (let from = 0; from < serials.length; from += PER_MESSAGE) {
    const entries = serials
      .slice(from, from + PER_MESSAGE)
      .map((serial) => ({ serial, revokedAt, reason: 'superseded' as const }));
    await keyd.listRevocations({ issuer: 'operational', entries });
  }
  return (performance.now() - started) / 1000;
}
