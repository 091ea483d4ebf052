import type { DerCertificate } from '@keystead/core/bytes';
import type { Clock } from '@keystead/core/clock';
import type { FactoryIssuerId, ListedIssuer, Policy } from '@keystead/core/lifecycle';
import { readCertificate } from '@keystead/core/x509';
import type { AppendAudit, RefusalLog } from '../access/index.ts';
import type { KeydClient, Result } from '../keyd-client/index.ts';
import type { Store } from '../store/index.ts';
import type { KeyClaims } from './key-claims.ts';

/** What the authority asks of keyd. */
export type Signing = Pick<
  KeydClient,
  | 'issue'
  | 'issueServerKey'
  | 'signCrl'
  | 'releaseHold'
  | 'orderRevocation'
  | 'listRevocations'
  | 'crlFile'
  | 'journal'
  | 'status'
  | 'trust'
>;

/** What every act of the authority stands on. */
export interface AuthorityDeps {
  readonly store: Store;
  readonly keyd: Signing;
  readonly clock: Clock;
  readonly audit: AppendAudit;
  readonly refusals: RefusalLog;
  readonly policy: Policy;
  /** Every key of the CAs, as keyd tells them: those that issue, and those that answer for what they issued. */
  readonly issuers: Result<'trust'>['issuers'];
  /** The manufacturing sub-CAs of the factories, for which headquarters keeps the lists; without it there are none. */
  factories?(): readonly { readonly id: FactoryIssuerId; readonly certificate: DerCertificate }[];
  /** Issuers for whose certificates others answer: at a factory node, headquarters. No CRLs are made of theirs. */
  readonly elsewhere?: ReadonlySet<ListedIssuer>;
  /** One for the whole process: provisioning shares it. */
  readonly claims: KeyClaims;
}

/**
 * Those for which CRLs are made at `now`: a key of a CA until its certificate ends, for nothing that it issued outlasts
 * that; a factory for good, since IDevIDs have no end.
 */
export function answeringIssuers(
  { issuers, factories, elsewhere }: Pick<AuthorityDeps, 'issuers' | 'factories' | 'elsewhere'>,
  now: Date,
): ListedIssuer[] {
  const own = issuers.flatMap(({ id, certificate }) =>
    readCertificate(certificate).notAfter > now && elsewhere?.has(id) !== true ? [id] : [],
  );
  return [...own, ...(factories?.() ?? []).map(({ id }) => id)];
}
