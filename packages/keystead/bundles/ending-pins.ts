import type { Policy } from '@keystead/core/lifecycle';
import { type EndingPin, endingPins, standingOfJson } from '@keystead/core/trust';
import type { Logger } from 'pino';
import type { AppendAudit } from '../access/index.ts';
import type { Reader, Store } from '../store/index.ts';

/** An ending pin as JSON gives it: times are ISO 8601, UTC. */
export interface EndingPinView extends Omit<EndingPin, 'until' | 'lastRefresh' | 'publishBy'> {
  readonly until: string;
  readonly lastRefresh: string;
  readonly publishBy: string;
}

/**
 * The pinned names of the content that stands which end soon, and keyd's bundles with them: see `endingPins`.
 * @param content as keyd tells it (`trustStatus`); null before the first.
 */
export function endingPinsOf(content: string | null, { trust }: Pick<Policy, 'trust'>, now: Date): EndingPin[] {
  if (content === null || trust === undefined) return [];
  return endingPins(standingOfJson(JSON.parse(content)), trust.bundle.seconds, Math.floor(now.getTime() / 1000));
}

/** Which warnings were given already stands here, by name: so each is given once, also across restarts. */
const given = ({ role }: EndingPin): string => `trust.pin-warned ${role}`;
const what = ({ level, until, keys }: EndingPin): string => `${level} ${until} ${keys.join(' ')}`;

interface Told {
  readonly store: Store;
  readonly audit: AppendAudit;
  readonly policy: Policy;
  readonly log: Pick<Logger, 'warn'>;
}

/**
 * Warns of the pins that end soon, while people can still order the next content: keyd signs none of which a pin has
 * ended. Each warning that was not given before is an entry of the audit log, in one transaction, and a line of the log.
 * REQ-KEY-ROT-03
 * @returns all that end, also those that people were warned of before.
 */
export async function warnOfEndingPins(told: Told, content: string | null, now: Date): Promise<readonly EndingPin[]> {
  const ending = endingPinsOf(content, told.policy, now);
  for (const { role, keys, level, why } of await auditNew(told, ending))
    told.log.warn({ pin: role, keys, why }, `a pin of the trust bundles is ${level}`);
  return ending;
}

async function auditNew({ store, audit }: Told, ending: readonly EndingPin[]): Promise<readonly EndingPin[]> {
  const isNew = (records: Reader) => (pin: EndingPin) => records.meta(given(pin)) !== what(pin);
  if (ending.length === 0 || !store.read((records) => ending.some(isNew(records)))) return [];
  return store.commit((tx) => {
    const unsaid = ending.filter(isNew(tx));
    for (const pin of unsaid) {
      const { role, level, keys, ...detail } = endingPinView(pin);
      audit(tx, {
        type: `trust.pin-${level}`,
        actor: { kind: 'system', id: 'serve' },
        requestId: 'trust-pins',
        outcome: 'done',
        subject: { pin: role },
        detail: { keys: keys.join(' '), ...detail },
      });
      tx.setMeta(given(pin), what(pin));
    }
    return unsaid;
  });
}

export const endingPinView = ({ until, lastRefresh, publishBy, ...pin }: EndingPin): EndingPinView => ({
  ...pin,
  until: iso(until),
  lastRefresh: iso(lastRefresh),
  publishBy: iso(publishBy),
});

const iso = (seconds: number): string => new Date(seconds * 1000).toISOString();
