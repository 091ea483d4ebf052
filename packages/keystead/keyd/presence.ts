import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { durableWrite } from '../files/durable.ts';
import type { Layout } from '../files/layout.ts';
import type { Isolation } from '../host/isolation.ts';
import type { CountReport } from './unit-count.ts';
import { CountReportSchema } from './wire/recount.ts';
import { IsolationSchema } from './wire/status.ts';

const PresenceSchema = z.strictObject({
  pid: z.int().min(1),
  started: z.string(),
  isolation: IsolationSchema,
  /** Whether a monotonic counter covers the journal, as of the start. */
  count: CountReportSchema.optional(),
});

/** Which process is keyd, and what it says of its isolation: for those who verify it from outside. */
export type Presence = z.infer<typeof PresenceSchema>;

const presencePath = (layout: Layout): string => join(layout.run, 'keyd.json');

/** Written when keyd listens. It holds nothing secret; a file that an earlier keyd left is told by its `started`. */
export function writePresence(layout: Layout, isolation: Isolation, count: CountReport): void {
  const presence: Presence = {
    pid: process.pid,
    started: startOf('self') ?? '',
    isolation: { ...isolation },
    count: { ...count, counter: { ...count.counter } },
  };
  durableWrite(presencePath(layout), `${JSON.stringify(presence, null, 2)}\n`, 0o640);
}

/** What the keyd that runs has written, or undefined when none runs. */
export function readPresence(layout: Layout): Presence | undefined {
  let parsed: ReturnType<typeof PresenceSchema.safeParse>;
  try {
    parsed = PresenceSchema.safeParse(JSON.parse(readFileSync(presencePath(layout), 'utf8')));
  } catch {
    return undefined;
  }
  if (!parsed.success || startOf(String(parsed.data.pid)) !== parsed.data.started) return undefined;
  return parsed.data;
}

/** When a process began, in clock ticks since boot (proc(5), field 22 of stat): it tells two users of a pid apart. */
function startOf(pid: string): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  } catch {
    return undefined;
  }
}
