import type { DerCertificate } from '@keystead/core/bytes';
import { toBase64url, toHex } from '@keystead/core/bytes';
import type { Clock } from '@keystead/core/clock';
import { randomBytes } from '@keystead/core/crypto';
import type { IssuerId, Policy } from '@keystead/core/lifecycle';
import type { Logger } from 'pino';
import type { Access, AppendAudit, RefusalLog } from '../access/index.ts';
import type { AuditEvent } from '../audit/index.ts';
import type { Authority } from '../authority/index.ts';
import type { AcmeSettings } from '../files/acme-settings.ts';
import type { Store } from '../store/index.ts';

/** The CAs as clients of ACME meet them. */
export interface AcmeHierarchy {
  /** Every key of the CAs, with its newest certificate. */
  readonly issuers: readonly { readonly id: IssuerId; readonly certificate: DerCertificate }[];
  /** What leads from an old root to the one in use (RFC 9810 section 4.4). */
  readonly newWithOld: readonly DerCertificate[];
  readonly certificates: { readonly root: DerCertificate };
}

/** What ACME stands on. */
export interface AcmeDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly audit: AppendAudit;
  readonly refusals: RefusalLog;
  readonly access: Access;
  readonly authority: Authority;
  readonly hierarchy: AcmeHierarchy;
  /** The policy in force when it is looked at. */
  readonly policy: Policy;
  readonly settings: AcmeSettings;
  /** CAs of attestation keys, DER. */
  readonly attestationRoots: readonly DerCertificate[];
  readonly log: Pick<Logger, 'error' | 'info'>;
}

/** An account as ACME's own rooms pass it on: one that may act. */
export interface Account {
  readonly id: string;
  readonly authorisationId: string;
  /** RFC 7638, base64url. */
  readonly thumbprint: string;
}

/** Names a resource in a URL: 128 random bits, so that nobody finds another's by counting. */
export const newId = (): string => toHex(randomBytes(16));

/** A token of a challenge: 256 random bits (RFC 8555 section 8.3 wants 128). */
export const newToken = (): string => toBase64url(randomBytes(32));

/** An account in the audit log: whoever holds the authorisation that let it in. */
export const actorOfAccount = ({ authorisationId }: Pick<Account, 'authorisationId'>): AuditEvent['actor'] => ({
  kind: 'authorised',
  id: authorisationId,
});
