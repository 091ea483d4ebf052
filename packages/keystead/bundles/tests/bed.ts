import { join } from 'node:path';
import { pino } from 'pino';
import { RefusalLog } from '../../access/index.ts';
import { appendAudit } from '../../audit/index.ts';
import { TrustBed } from '../../keyd/tests/trust-bed.ts';
import { StoreBed } from '../../store/tests/bed.ts';
import { type BundleDeps, BundlePublisher } from '../publisher.ts';

/** What a publisher stands on: the real keyd after a real ceremony, and records on disk. */
export interface PublisherBed {
  readonly bed: TrustBed;
  readonly records: StoreBed;
}

export const makePublisherBed = async (): Promise<PublisherBed> => ({
  bed: await TrustBed.make(),
  records: new StoreBed(),
});

export const bundlesDirectory = ({ records }: PublisherBed): string => join(records.directory, 'bundles');

/** A publisher as `serve` makes it, with what a test puts in place of a part. */
export function publisherOn(on: PublisherBed, instead: Partial<BundleDeps> = {}): BundlePublisher {
  const { client: keyd, clock, policy } = on.bed.keyd;
  const { store } = on.records;
  const audit: BundleDeps['audit'] = (tx, event) => appendAudit(tx, event, clock);
  const refusals = new RefusalLog({ store, audit, clock });
  const log = pino({ enabled: false });
  const directory = bundlesDirectory(on);
  return new BundlePublisher({ store, keyd, clock, audit, refusals, log, policy, directory, ...instead });
}

export async function removePublisherBed({ bed, records }: PublisherBed, publisher: BundlePublisher): Promise<void> {
  await publisher.settled();
  await bed.keyd.remove();
  await records.remove();
}
