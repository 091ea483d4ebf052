import type { Serial, SpkiSha256 } from '@keystead/core/bytes';
import type { KeyDates, KeyPurposeId, KeyState } from '@keystead/core/lifecycle';
import type { Insertable } from 'kysely';
import type { Dialect } from './dialect.ts';
import { bytesOf } from './query.ts';
import type { Certificate } from './rows.ts';
import type * as table from './schema.ts';

/* The rows of the key inventory, as rows.ts has those of the rest. */

/** A key that has no certificate in the records. */
export interface KeyRow extends KeyDates {
  readonly id: string;
  readonly spkiSha256: SpkiSha256 | null;
  readonly purpose: KeyPurposeId;
  readonly algorithm: string;
  readonly strengthBits: number;
  readonly custody: string;
  readonly fips140: string;
  readonly owner: string;
  readonly state: KeyState;
  readonly certificateEnd: number | null;
  readonly successor: string | null;
  /** A flat JSON object. */
  readonly evidence: string;
}
export const keySelection = ({ hex }: Dialect) =>
  [
    'id',
    hex<SpkiSha256 | null>('spki_sha256').as('spkiSha256'),
    'purpose',
    'algorithm',
    'strength_bits as strengthBits',
    'custody',
    'fips140',
    'owner',
    'state',
    'generated_at as generatedAt',
    'activated_at as activatedAt',
    'suspended_at as suspendedAt',
    'deactivated_at as deactivatedAt',
    'compromised_at as compromisedAt',
    'destroyed_at as destroyedAt',
    'certificate_end as certificateEnd',
    'successor',
    'evidence',
  ] as const;
export const keyColumns = (row: KeyRow): Insertable<table.KeyTable> => ({
  id: row.id,
  spki_sha256: bytesOf(row.spkiSha256),
  purpose: row.purpose,
  algorithm: row.algorithm,
  strength_bits: row.strengthBits,
  custody: row.custody,
  fips140: row.fips140,
  owner: row.owner,
  certificate_end: row.certificateEnd,
  successor: row.successor,
  evidence: row.evidence,
  ...keyStandingColumns(row),
});
/** What changes of a key: its state and its dates. */
export const keyStandingColumns = (row: KeyDates & Pick<KeyRow, 'state'>) => ({
  state: row.state,
  generated_at: row.generatedAt,
  activated_at: row.activatedAt,
  suspended_at: row.suspendedAt,
  deactivated_at: row.deactivatedAt,
  compromised_at: row.compromisedAt,
  destroyed_at: row.destroyedAt,
});

export interface KeyEventRow {
  readonly keyId: string;
  readonly n: number;
  readonly event: string;
  readonly fromState: KeyState | null;
  readonly toState: KeyState;
  readonly at: number;
  readonly actor: string;
  readonly reason: string;
  readonly requestId: string;
  readonly auditSeq: number;
}
export const KEY_EVENT = [
  'key_id as keyId',
  'n',
  'event',
  'from_state as fromState',
  'to_state as toState',
  'at',
  'actor',
  'reason',
  'request_id as requestId',
  'audit_seq as auditSeq',
] as const;
export const keyEventColumns = (row: KeyEventRow): Insertable<table.KeyEventTable> => ({
  key_id: row.keyId,
  n: row.n,
  event: row.event,
  from_state: row.fromState,
  to_state: row.toState,
  at: row.at,
  actor: row.actor,
  reason: row.reason,
  request_id: row.requestId,
  audit_seq: row.auditSeq,
});

/** A certificate as the inventory derives its key's record from it: without its bytes. */
export type CertifiedKey = Omit<Certificate, 'der' | 'certSha256' | 'csrSha256' | 'notBefore'>;
export const certifiedKeySelection = ({ hex }: Dialect) =>
  [
    'certificate.issuer as issuer',
    hex<Serial>('certificate.serial').as('serial'),
    'profile',
    'subject',
    'device_id as deviceId',
    'operator',
    hex<SpkiSha256>('certificate.spki_sha256').as('spkiSha256'),
    'not_after as notAfter',
    'status',
    'revoked_at as revokedAt',
    'reason',
    'request_id as requestId',
    'issued_at as issuedAt',
  ] as const;

/** The newest certificate of a key of a person or a server, with whose key it is and since when it is known. */
export interface ServiceKey extends CertifiedKey {
  readonly owner: string;
  readonly firstSeen: number;
}
export const serviceKeySelection = (dialect: Dialect) =>
  [...certifiedKeySelection(dialect), 'owner', 'first_seen as firstSeen'] as const;
