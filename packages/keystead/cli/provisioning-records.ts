import { KeysteadError } from '@keystead/core/errors';
import { type Command, InvalidArgumentError } from 'commander';
import type { RestClient } from '../client/rest.ts';
import type { StoredRecord } from '../verify/export/write.ts';

/** Which records: of a device, which is an argument, of a batch, or of a time. */
export interface RecordChoice {
  readonly batch?: string;
  readonly from?: Date;
  readonly to?: Date;
}

/** Adds the argument and the options. */
export const recordChoice = (command: Command): Command =>
  command
    .argument('[device]', 'one device')
    .option('--batch <id>', 'the units of one batch ticket')
    .option('--from <time>', 'made at or after this time, UTC: 2026-03-01 or 2026-03-01T06:00:00Z', start)
    .option('--to <time>', 'made until this time, UTC; a day is meant to its end', end);

const DAY = /^\d{4}-\d\d-\d\d$/;
const INSTANT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,3})?Z$/;

function start(text: string): Date {
  const time = new Date(text);
  if ((DAY.test(text) || INSTANT.test(text)) && !Number.isNaN(time.getTime())) return time;
  throw new InvalidArgumentError('A day as 2026-03-01, or a time as 2026-03-01T06:00:00Z.');
}

/** The first millisecond that is not meant any more. */
const end = (text: string): Date => new Date(start(text).getTime() + (DAY.test(text) ? 86_400_000 : 1));

/** Pages of records, as the service is asked for them. */
export interface AskedRecords {
  /** The question in one form: a later run is about the same when this is the same. */
  readonly query: string;
  readonly device?: string;
}

/** @throws KeysteadError `request.malformed` unless a device, or a batch or time, is named. */
export function requireChoice(device: string | undefined, { batch, from, to }: RecordChoice): AskedRecords {
  const several = batch !== undefined || from !== undefined || to !== undefined;
  if ((device !== undefined) === several) {
    const seen = several ? 'a device and --batch, --from or --to' : 'nothing';
    throw new KeysteadError('request.malformed', {
      field: 'records',
      seen,
      remedy: 'name a device, or a batch with --batch, or a time with --from and --to',
    });
  }
  if (device !== undefined) return { query: `device ${device}`, device };
  const query = new URLSearchParams();
  if (batch !== undefined) query.set('ticket', batch);
  if (from !== undefined) query.set('from', from.toISOString());
  if (to !== undefined) query.set('to', to.toISOString());
  return { query: query.toString() };
}

export interface RecordPage {
  readonly records: readonly StoredRecord[];
  readonly next: string | null;
}

/** Every page from `next` on; `''` is the first, and after null there is none. */
export async function* allPages(
  client: RestClient,
  { query, device }: AskedRecords,
  next: string | null,
): AsyncGenerator<RecordPage> {
  if (device !== undefined) {
    if (next === null) return;
    yield {
      records: [await client.get<StoredRecord>(`/api/v1/records/${encodeURIComponent(device)}`)],
      next: null,
    };
    return;
  }
  for (let after = next; after !== null; ) {
    const asked = new URLSearchParams(query);
    if (after !== '') asked.set('after', after);
    const page: RecordPage = await client.get<RecordPage>(`/api/v1/records?${asked}`);
    yield page;
    after = page.next;
  }
}
