import { KeysteadError } from '@keystead/core/errors';
import { MOST_PARCEL_BYTES, type Permission, parseConsignment } from '@keystead/core/lifecycle';
import { actorOf, type OperatorClient } from '../access/index.ts';
import type { Caller } from '../protocols/rest/domain.ts';
import type { ReconciliationDomain } from '../protocols/rest/reconciliation.ts';
import type { Outbox } from '../provisioning/index.ts';
import { FactoryNews } from './factory-news.ts';
import { IntakeGate } from './intake-gate.ts';
import type { Rooms } from './rooms.ts';

/** The most parcels of one answer. */
const LISTED = 32;

/** REST's view of reconciliation. */
export function reconciliationDomain(
  rooms: Pick<Rooms, 'provisioning' | 'access' | 'keyd' | 'clock' | 'outbox' | 'store' | 'factories' | 'layout'>,
  operator: (caller: Caller, permission: Permission, what: string) => Promise<OperatorClient>,
): ReconciliationDomain {
  const { provisioning, access, keyd, clock, outbox } = rooms;
  const gate = new IntakeGate(clock);
  const askedFor = new IntakeGate(clock);
  const news = new FactoryNews(rooms);

  const node = (): Outbox => {
    if (outbox !== undefined) return outbox;
    throw new KeysteadError('consignment.not-a-node', { field: 'outbox', seen: 'headquarters' });
  };

  return {
    admitParcel: (from) => gate.admit(from),
    admitHello: (from) => askedFor.admit(from),
    takeParcel: (parcel, name, requestId) =>
      gate.through(async () => {
        const { factory } = parseConsignment(parcel.consignment).content;
        if (factory !== name) throw new KeysteadError('consignment.malformed', { field: 'factory', seen: factory });
        return provisioning.takeParcel(parcel, requestId);
      }),
    factoryNews: (name, { hello, have }) => askedFor.through(() => news.for(name, hello, have)),
    async reconciliation(caller) {
      await operator(caller, 'factory.read', 'show reconciliation');
      return keyd.reconciliation();
    },
    async resolveConflict(caller, resolution) {
      const client = await operator(caller, 'factory.sign', 'resolve conflict');
      try {
        return await provisioning.resolveConflict(resolution, caller.requestId);
      } catch (error) {
        if (error instanceof KeysteadError && error.kind !== 'unavailable')
          await access.refused(error, { requestId: caller.requestId, what: 'resolve conflict' }, client);
        throw error;
      }
    },
    async outbox(caller, after) {
      await operator(caller, 'factory.exchange', 'export consignments');
      const box = node();
      await box.collect(caller.requestId);
      const parcels: string[] = [];
      let bytes = 0;
      let next: number | null = null;
      for (const { number, text } of await box.ready(after, LISTED, caller.requestId)) {
        bytes += text.length;
        // One at least, however large.
        if (parcels.length > 0 && bytes > MOST_PARCEL_BYTES) break;
        parcels.push(text);
        next = number;
      }
      return { parcels, next, progress: box.progress() };
    },
    async settle(caller, receipts) {
      const client = await operator(caller, 'factory.exchange', 'take receipts');
      const box = node();
      let settled = 0;
      try {
        for (const receipt of receipts) {
          if (await box.settle(receipt, caller.requestId, actorOf(client))) settled += 1;
        }
      } catch (error) {
        if (error instanceof KeysteadError && error.kind !== 'unavailable')
          await access.refused(error, { requestId: caller.requestId, what: 'take receipts' }, client);
        throw error;
      }
      return { settled, known: receipts.length - settled };
    },
  };
}
