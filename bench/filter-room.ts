import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { DatabaseSync } from 'node:sqlite';
import { type Serial, type SpkiSha256, toHex } from '@keystead/core/bytes';
import { sha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { DEMO_TRUST, parsePolicy } from '@keystead/core/lifecycle';
import { collectSource, type FilterKeyd } from 'keystead/bundles/filter-source.ts';
import { buildAside } from 'keystead/bundles/filter-work.ts';
import { systemClock } from 'keystead/clock/system.ts';
import { checkFilter } from 'keystead/keyd/filter-check.ts';
import { filteredIssuers, listedOf, pageOf } from 'keystead/keyd/filtered.ts';
import { KeydState } from 'keystead/keyd/state.ts';
import { openStore } from 'keystead/store/index.ts';
import type { Bench } from './bench.ts';
import { type Figure, figure } from './figure.ts';
import type { Rig } from './rig.ts';

const COUNT = 1_000_000;
const DAY = 86_400_000;
/** What is newly revoked from one filter to the next. */
const NEWLY = 500;
/** What building and checking may add to their processes, kB. */
const MOST_KB = 300_000;

const serialOf = (index: number): Serial => `4${toHex(sha256(Buffer.from(`room ${index}`))).slice(1, 40)}` as Serial;

/**
 * A filter on its whole way for a million certificates of which 1% are revoked: serve's builder, from SQLite and on its
 * thread, and keyd's check of every certificate. The table and keyd's state are filled directly, as no enrolment is; both
 * rooms run in this process, so that what is handed over costs no socket.
 */
export async function filterRoomFigures(bench: Bench, rig: Rig): Promise<Figure[]> {
  const count = bench.quick ? COUNT / 10 : COUNT;
  const revoked = count / 100;
  const now = systemClock.now();
  bench.note(`revocation filter through serve and keyd: setting up ${count} certificates`);
  const store = await filledStore(bench, count);
  const { issuers, policy: bytes } = await (await rig.keyd()).trust();
  const rule = { issuers: ['operational' as const], seconds: 604_800, everySeconds: 3600, mostDeltas: 24 };
  const policy = { ...parsePolicy(bytes), trust: { ...DEMO_TRUST, filter: rule } };
  const state = filledState(count, now);
  const keyd = {
    ...{ policy, state, underWay: { oldest: undefined }, ledger: { isCompromised: () => false } },
    hierarchy: {
      pins: { revoked: [] },
      issuers: issuers.filter(({ id }) => id === 'operational').map((one) => ({ ...one, succeededAt: undefined })),
    },
    policies: { founding: { policy, bytes, sha256: '' }, steps: [] },
  };
  const asked: FilterKeyd = {
    trustIssuers: async () => ({
      issuers: filteredIssuers(keyd, rule).map(({ id, spki }) => ({
        ...{ issuer: id, spkiSha256: spki, through: null, revoked: false, commissioned: [] },
      })),
    }),
    trustRevocations: async ({ issuer, from, limit }) =>
      pageOf(listedOf(keyd, issuer, Math.floor(now.getTime() / 1000), from), from, limit),
    trustSerials: async () => ({ serials: [], next: 0, end: true }),
  };
  const build = async (chain: readonly Uint8Array[]) =>
    buildAside({ source: await collectSource({ store, keyd: asked, policy, now, whole: false }, rule), chain });
  revoke(state, 0, revoked, now);
  const [filter, built] = await measured(() => build([]));
  const check = (files: readonly Uint8Array[]) => checkFilter(keyd, files, 0, now);
  const [, checked] = await measured(() => check([filter]));
  bench.note(`built in ${built.seconds.toFixed(1)} s, checked in ${checked.seconds.toFixed(1)} s`);
  revoke(state, revoked, revoked + NEWLY, now);
  await requireRefused(check([filter]));
  const [delta, builtDelta] = await measured(() => build([filter]));
  const [, checkedDelta] = await measured(() => check([filter, delta]));
  const others = `${Math.round(checked.longest)} ms was the longest that anybody waited meanwhile`;
  const what = `${count.toLocaleString('en-US')} certificates in SQLite, ${revoked.toLocaleString('en-US')} revoked`;
  const within = 'against 300 MB; less is better';
  await store.close();
  return [
    figure('filter-serve-bytes', filter.length, 'bytes', boundBytes(count, revoked), `${what}: the bound`),
    figure('filter-serve-build', built.seconds, 's', 60, `${what}: read and built, against a minute`),
    figure('filter-serve-memory', built.kb, 'kB', MOST_KB, `what reading and building add at the highest, ${within}`),
    figure('filter-serve-delta', builtDelta.seconds, 's', 60, `${delta.length} bytes: ${NEWLY} more, against a minute`),
    figure('filter-keyd-check', checked.seconds, 's', 60, `each certificate looked up, against a minute; ${others}`),
    figure('filter-keyd-delta', checkedDelta.seconds, 's', 60, 'the same with a delta, against a minute'),
    figure('filter-keyd-memory', checked.kb, 'kB', MOST_KB, `what the check adds at the highest, ${within}`),
  ];
}

/** The records: the table and nothing else of each certificate. */
async function filledStore(bench: Bench, count: number) {
  const path = join(bench.folder, 'filter-room', 'keystead.db');
  await openStore({ path, clock: systemClock }).close();
  const database = new DatabaseSync(path, { enableForeignKeyConstraints: false });
  const insert = database.prepare(
    `insert into certificate (issuer, serial, profile, subject, spki_sha256, not_before, not_after, der, cert_sha256,
      status, request_id, csr_sha256, issued_at) values ('operational', ?, 'ldevid', ?, ?, ?, ?, ?, ?, 'good', 'bench', ?, ?)`,
  );
  const began = systemClock.now().getTime() - DAY;
  const hash = new Uint8Array(32);
  const der = new Uint8Array(480);
  database.exec('begin');
  database.prepare(`insert into spki_history (spki_sha256, owner, first_seen) values (?, 'bench', ?)`).run(hash, began);
  for (let index = 0; index < count; index += 1) {
    const serial = Buffer.from(serialOf(index), 'hex');
    insert.run(serial, `CN=pump-${index}`, hash, began, endOf(began, index), der, hash, hash, began);
  }
  database.exec('commit');
  database.close();
  return openStore({ path, clock: systemClock });
}

/** Thirty days, spread as renewals are. */
const endOf = (began: number, index: number): number => began + 30 * DAY + (index % 10_000) * 1000;

/** What keyd has after it has read its journal. */
function filledState(count: number, now: Date): KeydState {
  const state = new KeydState();
  const began = now.getTime() - DAY;
  for (let index = 0; index < count; index += 1) {
    state.takeCertificate({
      ...{ serial: serialOf(index), issuer: 'operational', profile: 'ldevid', subject: `pump-${index}` },
      spkiSha256: '00'.repeat(32) as SpkiSha256,
      notBefore: new Date(began).toISOString(),
      notAfter: new Date(endOf(began, index)).toISOString(),
    });
  }
  return state;
}

function revoke(state: KeydState, from: number, until: number, now: Date): void {
  const entries = Array.from({ length: until - from }, (_, index) => ({
    serial: serialOf((from + index) * 97),
    revokedAt: now,
    reason: 'keyCompromise' as const,
  }));
  // Nothing is to leave the list.
  state.list('operational', 1, entries, { at: now.getTime(), endedBy: 0, listedBy: 0, allListedBy: 0 });
}

async function requireRefused(check: Promise<unknown>): Promise<void> {
  try {
    await check;
  } catch (error) {
    if (error instanceof KeysteadError && error.code === 'trust-bundle.filter-refused') return;
    throw error;
  }
  throw new Error('keyd took a filter that omits a revocation');
}

/** Seconds, what it added to the process at the highest (kB), and the longest that the event loop stood still (ms). */
async function measured<T>(work: () => Promise<T>): Promise<[T, { seconds: number; kb: number; longest: number }]> {
  // proc(5): the highest mark begins again at what is used now.
  writeFileSync('/proc/self/clear_refs', '5');
  const before = memory('VmRSS');
  const delay = monitorEventLoopDelay({ resolution: 5 });
  delay.enable();
  const started = performance.now();
  const result = await work();
  const seconds = (performance.now() - started) / 1000;
  delay.disable();
  return [result, { seconds, kb: Math.max(1, memory('VmHWM') - before), longest: delay.max / 1e6 }];
}

const memory = (name: string): number =>
  Number(new RegExp(`${name}:\\s+(\\d+)`).exec(readFileSync('/proc/self/status', 'latin1'))?.[1]);

/** log2 of the number of ways to choose `revoked` of `count`, in bytes. */
export function boundBytes(count: number, revoked: number): number {
  let bits = 0;
  for (let n = 1; n <= revoked; n += 1) bits += Math.log2((count - revoked + n) / n);
  return bits / 8;
}
