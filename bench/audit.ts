import { join } from 'node:path';
import { appendAudit } from 'keystead/audit/index.ts';
import { systemClock } from 'keystead/clock/system.ts';
import { openStore, type Store } from 'keystead/store/index.ts';
import type { Bench } from './bench.ts';
import { type Figure, figure } from './figure.ts';
import { rawFsync } from './limits.ts';
import { type LoadResult, resultOf } from './load/plan.ts';

const AT_ONCE = 64;
/** About the length of an entry with its leaf hash and its row. */
const ENTRY_BYTES = 512;

/** Entries of the audit log, each in a transaction of its own: durable before the next of the same caller begins. */
export async function auditFigures(bench: Bench): Promise<Figure[]> {
  const store = openStore({ path: join(bench.folder, 'audit', 'keystead.db'), clock: systemClock });
  bench.defer(() => store.close());
  bench.note('limit: fdatasync after each append to a file');
  const limit = rawFsync(ENTRY_BYTES, bench.seconds, bench.folder);
  const many = await bench.measure(`audit entries, ${AT_ONCE} callers`, () => appends(store, AT_ONCE, bench.seconds));
  const alone = await bench.measure('audit entries, one caller', () => appends(store, 1, bench.seconds));
  const against = 'against fdatasync after each append of 512 bytes to a file on the same disk';
  return [
    figure(
      'audit-appends',
      many.perSecond,
      '1/s',
      limit,
      `durable audit entries, ${AT_ONCE} callers at once, ${against}`,
    ),
    figure(
      'audit-appends-alone',
      alone.perSecond,
      '1/s',
      limit,
      `durable audit entries, one after the other, ${against}`,
    ),
  ];
}

async function appends(store: Store, callers: number, seconds: number): Promise<LoadResult> {
  const started = performance.now();
  const until = started + seconds * 1000;
  const latencies: number[] = [];
  const caller = async (id: number): Promise<void> => {
    for (let n = 0; performance.now() < until; n += 1) {
      const sent = performance.now();
      const event = {
        type: 'certificate.issued',
        actor: { kind: 'device' as const, id: `BENCH-${id}` },
        requestId: `bench-${id}-${n}`,
        outcome: 'done' as const,
        subject: { issuer: 'operational', serial: '01', deviceId: `BENCH-${id}` },
      };
      await store.commit((tx) => appendAudit(tx, event, systemClock));
      latencies.push(performance.now() - sent);
    }
  };
  await Promise.all(Array.from({ length: callers }, (_, id) => caller(id)));
  const took = (performance.now() - started) / 1000;
  return resultOf(latencies, took);
}
