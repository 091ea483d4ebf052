import type { KeyAlgorithm } from '../../crypto/index.ts';
import { durationText } from '../duration.ts';
import type { KeyPurposeId, Period } from '../key-purposes.ts';
import type { Policy } from '../policy.ts';
import { sameJson } from '../policy-update.ts';

/** `breaks`: something that works will not; `warns`: somebody should know before they sign; `notes`: it is different. */
export type Severity = 'breaks' | 'warns' | 'notes';

export interface PolicyDifference {
  readonly severity: Severity;
  /** The part of the policy, as its writer names it: `profiles.ldevid.validity.seconds`. */
  readonly field: string;
  readonly text: string;
}

/** A certificate that is neither ended nor revoked. */
export interface LiveCertificate {
  readonly profile: string;
  /** Device id, operator name or host. */
  readonly owner: string;
  readonly keyAlgorithm: KeyAlgorithm | undefined;
  readonly issuedAt: Date;
  readonly notAfter: Date;
}

/** What stands in the records of a deployment, as far as a policy can break it. */
export interface LiveInventory {
  readonly now: Date;
  readonly certificates: readonly LiveCertificate[];
  /** Batches whose ticket has not ended and whose quota is not used up. */
  readonly tickets: readonly {
    id: string;
    signers: readonly string[];
    quota: number;
    notBefore: string;
    notAfter: string;
  }[];
  /** Devices whose last LDevID has ended, and when. */
  readonly late: readonly { deviceId: string; endedAt: Date }[];
  /** From when on each CA signs. */
  readonly authorities: readonly { purpose: KeyPurposeId; since: Date }[];
}

/** What was found so far, in the order in which it was found. */
export class Findings {
  readonly #all: PolicyDifference[] = [];

  add(severity: Severity, field: string, text: string): void {
    this.#all.push({ severity, field, text });
  }

  /** Names each part that differs and has no sentence yet. */
  rest(before: Policy, after: Policy): void {
    const parts = new Set([...Object.keys(before), ...Object.keys(after)]) as Set<keyof Policy>;
    for (const part of parts) {
      if (sameJson(before[part] ?? null, after[part] ?? null)) continue;
      if (this.#all.some(({ field }) => field === part || field.startsWith(`${part}.`))) continue;
      const [from, to] = [before[part], after[part]].map((value) =>
        value === undefined ? 'none' : JSON.stringify(value),
      );
      const text = `${from} becomes ${to}`;
      this.add('notes', part, text.length > 400 ? 'is different' : text);
    }
  }

  sorted(): PolicyDifference[] {
    const order: readonly Severity[] = ['breaks', 'warns', 'notes'];
    return order.flatMap((severity) => this.#all.filter((one) => one.severity === severity));
  }
}

export const count = (items: readonly unknown[], one: string, many = `${one}s`): string =>
  `${items.length} ${items.length === 1 ? one : many}`;

/** A few names of many: people look them up. */
export const named = (names: readonly string[]): string => {
  const distinct = [...new Set(names)];
  return distinct.length <= 5
    ? distinct.join(', ')
    : `${distinct.slice(0, 5).join(', ')} and ${distinct.length - 5} more`;
};

export const longer = (period: Period): number => (period === 'none' ? Number.POSITIVE_INFINITY : period);

export const change = (from: Period, to: Period): string =>
  `${longer(to) > longer(from) ? 'up' : 'down'} from ${durationText(from)} to ${durationText(to)}`;
