import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GROUP, holderOf, lookForSharedFactors, type WeakPair } from '../../fleet-keys/index.ts';
import { type Reader, readOnly } from '../../store/index.ts';
import { type Check, failed, passed } from '../check.ts';

/** Above it the look takes minutes: it is a command of its own then. */
const MOST_KEYS = 20_000;

class TooMany extends Error {}

/**
 * REQ-KEY-PROV-03: a look of its own, which believes nothing that serve has put aside. Keys that were found count as dealt
 * with when nothing on them is good any more.
 */
const sharedFactors: Check = {
  id: 'keys.shared-factors',
  requirements: ['REQ-KEY-PROV-03'],
  text: 'no two RSA keys that were ever certified share a factor, or what they certify is no longer good',
  async run({ layout: { database } }) {
    const directory = mkdtempSync(join(tmpdir(), 'keystead-fleet-keys-'));
    const found: WeakPair[] = [];
    try {
      const { keys } = await lookForSharedFactors({ database, directory, group: GROUP }, async (pairs, so) => {
        found.push(...pairs);
        if (so.keys > MOST_KEYS) throw new TooMany();
      });
      const good = readOnly(database, (records) => found.flatMap((pair) => stillGood(records, pair)));
      if (good.length > 0)
        return failed(`${new Set(good).size} holders with a broken key: ${good.slice(0, 8).join(', ')}`);
      const dealt = found.length === 0 ? '' : `; ${found.length} pairs share one and are stopped`;
      return passed(`${keys} RSA keys compared with each other${dealt}`);
    } catch (error) {
      if (!(error instanceof TooMany)) throw error;
      return { verdict: 'unknown', evidence: `more than ${MOST_KEYS} RSA keys: run keystead keys check-fleet` };
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  },
};

function stillGood(records: Reader, { spkiSha256, other }: WeakPair): string[] {
  return [spkiSha256, other].flatMap((spki) => {
    const use = records.keyUse(spki);
    if (use?.issuer == null || use.serial == null) return [];
    return records.statusOf(use.issuer, use.serial)?.status === 'good' ? [holderOf(records, spki).owner] : [];
  });
}

export const FLEET_KEY_CHECKS: readonly Check[] = [sharedFactors];
