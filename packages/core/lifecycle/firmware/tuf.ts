import { z } from 'zod';
import { KeysteadError } from '../../errors/index.ts';
import { firmwareKeyId } from './policy.ts';

const DAY = 86_400;
/** Those of the signature schemes that TUF's clients have in common. */
const ALGORITHMS = ['P-256', 'P-384', 'Ed25519'] as const;

/** The name of an update repository; it stands in journals and in addresses. */
export const tufRepositoryName = z.string().regex(/^[a-z0-9][a-z0-9.-]{0,30}$/, 'must be 1 to 31 of a-z 0-9 . -');

const RepositorySchema = z.strictObject({
  repository: tufRepositoryName,
  /** The keys of snapshot and timestamp that keyd holds; it signs by those that the root in force names. */
  keys: z
    .array(z.strictObject({ id: firmwareKeyId, algorithm: z.enum(ALGORITHMS) }))
    .min(1)
    .max(4),
  /** SHA-256 of the first root, `1.root.json`, hex. Until it stands here keyd makes the keys and signs nothing. */
  root: z
    .string()
    .regex(/^[0-9a-f]{64}$/, 'must be 64 hex digits in lower case')
    .optional(),
  /** How long a snapshot is good for. */
  snapshotSeconds: z
    .int()
    .min(60)
    .max(90 * DAY),
  /** How long a timestamp is good for: the longest that somebody between can hold a client at an old state. */
  timestampSeconds: z
    .int()
    .min(60)
    .max(30 * DAY),
});

/** Update repositories (TUF) whose online roles keyd signs. A policy without it has none. */
export const TufPolicySchema = z.strictObject({ repositories: z.array(RepositorySchema).min(1).max(64) });
export type TufPolicy = z.infer<typeof TufPolicySchema>;
export type TufRepositoryRule = z.infer<typeof RepositorySchema>;

interface WithTuf {
  readonly tuf?: TufPolicy | undefined;
}

const PREFIX = 'tuf-';

/** The id of a key of a repository in keyd's keystore. */
export const tufKeystoreId = (id: string): string => `${PREFIX}${id}`;

/** Whether a key of keyd's keystore is one of a repository. */
export const isTufKeystoreId = (keystoreId: string): boolean => keystoreId.startsWith(PREFIX);

/** What the policy says of a repository. @throws KeysteadError `tuf.not-in-policy`. */
export function tufRepositoryRule({ tuf }: WithTuf, repository: string): TufRepositoryRule {
  const rule = tuf?.repositories.find((one) => one.repository === repository);
  if (rule === undefined) throw new KeysteadError('tuf.not-in-policy', { field: 'repository', seen: repository });
  return rule;
}

/**
 * The rules of the section `tuf`. REQ-KEY-POL-01
 * @throws KeysteadError `policy.tuf-rule`, `policy.purpose-missing` with the field.
 */
export function checkTufRules(policy: {
  readonly tuf?: TufPolicy | undefined;
  readonly cryptoperiods: readonly { readonly purpose: string }[];
  readonly custody: readonly { readonly purpose: string }[];
}): void {
  const { tuf } = policy;
  if (tuf === undefined) return;
  for (const field of ['cryptoperiods', 'custody'] as const) {
    if (!policy[field].some(({ purpose }) => purpose === 'tuf-online'))
      throw new KeysteadError('policy.purpose-missing', { field, seen: "no 'tuf-online'" });
  }
  const names = new Set<string>();
  const keys = new Set<string>();
  tuf.repositories.forEach(({ repository, keys: own, snapshotSeconds, timestampSeconds }, index) => {
    const field = `tuf.repositories[${index}]`;
    const broken = (what: string, seen: string): KeysteadError =>
      new KeysteadError('policy.tuf-rule', { field: `${field}.${what}`, seen });
    if (names.has(repository)) throw broken('repository', `${repository} twice`);
    names.add(repository);
    own.forEach(({ id }, at) => {
      // What one repository's key has signed must say nothing in another.
      if (keys.has(id)) throw broken(`keys[${at}].id`, `${id} twice`);
      keys.add(id);
    });
    if (timestampSeconds > snapshotSeconds)
      throw broken('timestampSeconds', `${timestampSeconds}, where a snapshot is good for ${snapshotSeconds}`);
  });
}
