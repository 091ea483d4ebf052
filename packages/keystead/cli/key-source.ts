import { readFileSync } from 'node:fs';
import { type KeyPurposeId, type KeyState, parsePolicy } from '@keystead/core/lifecycle';
import { systemClock } from '../clock/system.ts';
import { Layout } from '../files/layout.ts';
import {
  Inventory,
  type KeyEventView,
  type KeyView,
  keyEventView,
  keyView,
  keyWarnings,
  type WarningView,
  warningView,
} from '../inventory/index.ts';
import { readOnly } from '../store/index.ts';
import { asOperator, type OperatorOptions } from './operator.ts';

/** What is asked for; `endingWithin` in seconds. */
export interface KeyQuestion {
  readonly purpose?: string;
  readonly state?: string;
  readonly owner?: string;
  readonly custody?: string;
  readonly endingWithin?: number;
}

/** Where the inventory is read: from the running service, or from its data directory. */
export interface KeySource {
  /** Up to `limit` keys that match, and whether there are more. */
  list(question: KeyQuestion, limit: number): Promise<{ found: KeyView[]; more: boolean }>;
  /** @throws KeysteadError `key.unknown`. */
  show(name: string): Promise<KeyView & { history: KeyEventView[] }>;
  due(): Promise<WarningView[]>;
}

const MEMBERS = ['purpose', 'state', 'owner', 'custody', 'endingWithin'] as const;

/** The service, asked over REST as an operator. */
export function serviceOf(options: OperatorOptions): KeySource {
  return {
    list: (question, limit) =>
      asOperator(options, async (client) => {
        const found: KeyView[] = [];
        for (let after = ''; ; ) {
          const query = new URLSearchParams(after === '' ? {} : { after });
          for (const name of MEMBERS) {
            const value = question[name];
            if (value !== undefined) query.set(name, String(value));
          }
          const page = await client.get<{ keys: KeyView[]; next: string | null }>(`/api/v1/keys?${query}`);
          found.push(...page.keys);
          if (page.next === null || found.length > limit) return cut(found, limit);
          after = page.next;
        }
      }),
    show: (name) => asOperator(options, (client) => client.get(`/api/v1/keys/${encodeURIComponent(name)}`)),
    due: () =>
      asOperator(options, async (client) => (await client.get<{ keys: WarningView[] }>('/api/v1/keys/due')).keys),
  };
}

/** The data directory, read by whoever may open its files. */
export function recordsOf(options: { readonly data: string }): KeySource {
  const layout = new Layout(options.data);
  const policy = () => parsePolicy(readFileSync(layout.policy));
  return {
    list: async ({ endingWithin, ...question }, limit) =>
      readOnly(layout.database, (records) => {
        const now = systemClock.now();
        const inForce = policy();
        const filter = {
          purpose: question.purpose as KeyPurposeId | undefined,
          state: question.state as KeyState | undefined,
          owner: question.owner,
          custody: question.custody,
          endingBefore: endingWithin === undefined ? undefined : now.getTime() + endingWithin * 1000,
        };
        const found: KeyView[] = [];
        for (const key of new Inventory(records, inForce, now).all(filter)) {
          found.push(keyView(key, inForce, now));
          if (found.length > limit) break;
        }
        return cut(found, limit);
      }),
    show: async (name) =>
      readOnly(layout.database, (records) => {
        const now = systemClock.now();
        const inForce = policy();
        const { record, history } = new Inventory(records, inForce, now).find(name);
        return { ...keyView(record, inForce, now), history: history.map(keyEventView) };
      }),
    due: async () =>
      readOnly(layout.database, (records) => {
        const now = systemClock.now();
        const inForce = policy();
        return keyWarnings(records, inForce, now).map((warning) => warningView(warning, inForce, now));
      }),
  };
}

const cut = (found: readonly KeyView[], limit: number): { found: KeyView[]; more: boolean } => ({
  found: found.slice(0, limit),
  more: found.length > limit,
});
