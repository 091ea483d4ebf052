import type { KeydContext } from '../context.ts';
import type { Result } from '../protocol.ts';

/** How far each factory is reconciled, which are stopped, and which units are in quarantine. */
export async function reconciliation(keyd: KeydContext): Promise<Result<'reconciliation'>> {
  const { units, histories } = keyd.state.factories.consigned;
  return {
    factories: keyd.state.factories.all().map(({ name: factory }) => ({
      factory,
      highest: histories.highest(factory),
      missing: histories.missing(factory),
      units: units.count(factory),
      fork: histories.fork(factory) ?? null,
    })),
    quarantined: units.quarantined().map(({ factory, deviceId, serials, spkiSha256, ticket, conflicts }) => ({
      factory,
      deviceId,
      serials: [...serials.keys()],
      spkiSha256,
      ticket: ticket.id,
      conflicts: [...conflicts],
    })),
  };
}
