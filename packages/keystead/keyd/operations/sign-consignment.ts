import { KeysteadError } from '@keystead/core/errors';
import {
  type ConsignedUnit,
  type Consignment,
  parseConsignment,
  requestName,
  signConsignment as sign,
} from '@keystead/core/lifecycle';
import type { KeydContext } from '../context.ts';
import type { Params, Result } from '../protocol.ts';

/**
 * Signs what this node has to tell headquarters: the units of its journal since the last consignment, each certificate
 * once, in the journal's order. A consignment is durable in the journal, whole, before it is given out; one that was made
 * before is given out again as it is. So a number never has two contents, also when the front end lost the answer.
 * REQ-KEY-PROV-01, REQ-KEY-AUD-01
 * @throws KeysteadError `consignment.not-a-node`, `consignment.number-ahead`, `key.use-forbidden`,
 *   `key.cryptoperiod-ended`, `clock.went-back`, `keyd.journal-failed`.
 */
export function signConsignment(
  keyd: KeydContext,
  { number }: Params<'signConsignment'>,
): Promise<Result<'signConsignment'>> {
  const factory = keyd.hierarchy.node?.name;
  if (factory === undefined) throw new KeysteadError('consignment.not-a-node', { field: 'keyd', seen: 'headquarters' });
  // One at a time: two that ran side by side would be made of the same units.
  return keyd.consigning.through(async () => {
    const last = keyd.consignable.last();
    const next = (last?.number ?? 0) + 1;
    if (number > next) {
      throw new KeysteadError('consignment.number-ahead', {
        field: 'number',
        seen: `${number}, where ${next} is next`,
      });
    }
    if (last !== undefined && number < next) return { document: keyd.consignable.document(number) };
    keyd.ledger.require(requestName('evidence'), 'protect', keyd.now());
    const gathered = keyd.consignable.gather();
    if (gathered === undefined) return { document: null };
    const { from, to, units } = gathered;
    // A certificate begins with a whole second: what was made in this one is all told when none is made in it any more.
    const now = keyd.nextSecond();
    const sure = Math.min(now.getTime(), keyd.underWay.oldest ?? Number.POSITIVE_INFINITY);
    const completeUntil = keyd.consignable.completeUntil(gathered, new Date(sure));
    const draft: Omit<Consignment, 'v'> = {
      factory,
      number,
      previousSha256: last?.sha256 ?? null,
      madeAt: now.toISOString(),
      journal: { from, to },
      completeUntil: completeUntil.toISOString(),
      units: [...units],
      tickets: ticketsOf(keyd, units),
      counter: counterOf(keyd),
      checkpoint: keyd.log.checkpoint ?? null,
    };
    const document = await sign(draft, keyd.evidence);
    const { sha256 } = parseConsignment(document);
    await keyd.journal.append({ time: now.toISOString(), kind: 'consignment', number, sha256, from, to, document });
    return { document };
  });
}

/** What counts units where no old disk image sets it back, and how far it is. */
function counterOf({ count }: KeydContext): Consignment['counter'] {
  const { counter } = count.report;
  return { kind: counter.make, value: counter.value ?? 0 };
}

/** The tickets of these units, each with how many units it has had. */
function ticketsOf(keyd: KeydContext, units: readonly ConsignedUnit[]): Consignment['tickets'] {
  const uses = new Map(keyd.state.units.tickets.map((use) => [use.id, use]));
  const hashes = new Map(units.map(({ ticket }) => [ticket.id, ticket.sha256]));
  return [...hashes].flatMap(([id, sha256]) => {
    const use = uses.get(id);
    return use === undefined ? [] : [{ id, sha256, units: use.units, quota: use.quota }];
  });
}
