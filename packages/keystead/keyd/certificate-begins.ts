import type { Lapses } from './lapses.ts';
import type { PolicyChain } from './policy-chain.ts';

/** What tells how early a certificate may begin. */
export interface Begun {
  readonly policies: Pick<PolicyChain, 'founding' | 'steps'>;
  readonly state: { readonly lapses: Pick<Lapses, 'forgotAt'> };
}

/**
 * Before this no certificate of a profile begins that is made now, milliseconds since 1970, whole seconds. Filters are out
 * that cover what begins until a time which follows from how far the policy of then dated back. One that dates back
 * further would put new certificates before that time, and such a filter would answer for what it never saw. So none
 * begins before what the policy before could have made last; and none before a restore, which may have forgotten a policy.
 * REQ-KEY-REV-04
 */
export function earliestBegin({ policies: { founding, steps }, state: { lapses } }: Begun, profile: string): number {
  let earliest = Math.floor((lapses.forgotAt ?? 0) / 1000);
  let { policy } = founding;
  for (const { file, appliedAt } of steps) {
    const backdated = policy.profiles.find(({ id }) => id === profile)?.validity.backdateSeconds ?? 0;
    earliest = Math.max(earliest, Math.floor(Date.parse(appliedAt) / 1000) - backdated);
    ({ policy } = file);
  }
  return earliest * 1000;
}
