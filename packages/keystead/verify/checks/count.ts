import { KeysteadError } from '@keystead/core/errors';
import { type Presence, readPresence } from '../../keyd/presence.ts';
import { type Check, type Finding, failed, passed, weak } from '../check.ts';

/** REQ-KEY-PROV-01: what a disk that is put back would give out again. */
const count: Check = {
  id: 'keyd.count',
  requirements: ['REQ-KEY-PROV-01'],
  text: "a monotonic counter outside of the disks covers keyd's journal, so that no older disk gives a quota back",
  async run({ layout }) {
    const presence = readPresence(layout);
    if (presence?.count === undefined) {
      throw new KeysteadError('service.unreachable', { field: 'keyd', seen: 'no process that says it is keyd' });
    }
    return judgeCount(presence.count);
  },
};

/** As keyd saw it when it started. */
export function judgeCount({ state, counter, journal }: NonNullable<Presence['count']>): Finding {
  const seen = `${counter.name ?? 'no counter'}: ${counter.value ?? '-'}, journal ${journal ?? '-'}`;
  switch (state) {
    case 'level':
      return passed(seen);
    case 'disk':
      return weak(
        'quotas rest on the disk alone: an older image of it gives them back, and only headquarters would see it',
      );
    case 'unreachable':
      return failed(`the counter cannot be asked, and no unit is given out (${seen})`);
    case 'rolled-back':
    case 'replaced':
    case 'missing':
      return failed(`${state}: no unit is given out until operators order a recount (${seen})`);
  }
}

export const COUNT_CHECKS: readonly Check[] = [count];
