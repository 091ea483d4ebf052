import { setImmediate as turn } from 'node:timers/promises';
import type { Serial } from '@keystead/core/bytes';
import { factoryIssuerId, HEADQUARTERS, type ListedIssuer } from '@keystead/core/lifecycle';
import type { ResolvedJournalEntry } from './consigned/index.ts';
import type { KeydContext } from './context.ts';

const PAGE = 2000;

/**
 * Every certificate that a resolution ends, whose entry is durable, by the issuer on whose list it belongs: IDevIDs of the units of factories, and
 * what headquarters had issued by then to the devices with these ids. What the front end has to say is not asked for: a
 * unit that operators have ended has no certificate left, also where its records were lost or never told.
 * REQ-KEY-PROV-03, REQ-KEY-REV-01
 */
export async function endedCertificates(
  keyd: KeydContext,
  { factory, decision, sha256 }: Pick<ResolvedJournalEntry, 'factory' | 'decision' | 'sha256'>,
): Promise<ReadonlyMap<ListedIssuer, readonly Serial[]>> {
  const found = new Map<ListedIssuer, Serial[]>();
  if (decision.act === 'accept') return found;
  const add = (issuer: ListedIssuer, serials: Iterable<Serial>) =>
    found.set(issuer, [...new Set([...(found.get(issuer) ?? []), ...serials])]);
  const { units } = keyd.state.factories.consigned;
  const right = units.bySerial(factory, decision.serial);
  if (decision.act === 'reject') {
    if (right?.standing === 'rejected') add(factoryIssuerId(factory), right.serials.keys());
    return found;
  }
  for (const { where, deviceId } of decision.ended) {
    if (where === HEADQUARTERS) continue;
    for (const unit of units.unitsOf(deviceId, where))
      if (unit !== right && unit.standing === 'rejected') add(factoryIssuerId(where), unit.serials.keys());
  }
  const ids = new Set(decision.ended.map(({ deviceId }) => deviceId));
  const named = new Set(
    keyd.policy.profiles.filter(({ subject }) => subject.commonName === 'device-id').map(({ id }) => id),
  );
  for (let from = 0, end = ids.size === 0; !end; ) {
    const page = keyd.journal.read(from, PAGE);
    for (const entry of page.entries) {
      // What came after is the right one's.
      if (entry.kind === 'resolved' && entry.sha256 === sha256) return found;
      if (entry.kind !== 'certificate') continue;
      if (ids.has(entry.subject) && named.has(entry.profile)) add(entry.issuer, [entry.serial as Serial]);
    }
    from = page.next;
    end = page.end;
    await turn();
  }
  return found;
}
