import type { IssuerName, KeyPurposeId, KeyState } from '@keystead/core/lifecycle';
import type { RevocationReason } from '@keystead/core/x509';
import type { AcmeAccountTable, AcmeAuthorizationTable, AcmeChallengeTable, AcmeOrderTable } from './acme-schema.ts';
import type { AuthorisationTable, EnrolmentRequestTable } from './authorisation-schema.ts';
import type { ConsignmentTable, OutboxTable, QuarantinedUnitTable } from './reconciliation-schema.ts';
import type { RevocationActTable } from './revocation-schema.ts';
import type {
  RotationCampaignTable,
  RotationCountTable,
  RotationDeviceTable,
  RotationRingTable,
} from './rotation-schema.ts';
import type { SigningRequestTable } from './signing-schema.ts';
import type { StationResultTable, StationSignOnTable } from './station-schema.ts';
import type { EnrolmentTransactionTable } from './transaction-schema.ts';
import type { TrustBundleTable, UptakeTable } from './trust-schema.ts';

/** Where a certificate stands. `hold` comes back to `good` or goes on to `revoked`; `revoked` is for ever. */
export type CertificateState = 'good' | 'revoked' | 'hold';

/** As the provisioning record has it. */
export type KeyOriginName = 'proof-of-possession' | 'tpm2-attested' | 'secure-element' | 'injected';

/** Where a device stands. `stolen` and `decommissioned` get no certificate any more. */
export type DeviceState = 'provisioned' | 'enrolled' | 'stolen' | 'decommissioned';

/**
 * All times are milliseconds since 1970-01-01T00:00:00Z. Serials and hashes are bytes, not hex: their indexes are
 * the part of the database that grows most and is written in random order.
 */
export interface CertificateTable {
  issuer: IssuerName;
  serial: Uint8Array;
  profile: string;
  /** The subject as text, for people. */
  subject: string;
  device_id: string | null;
  operator: string | null;
  spki_sha256: Uint8Array;
  not_before: number;
  /** 253402300799000 (99991231235959Z) when it does not end. */
  not_after: number;
  der: Uint8Array;
  cert_sha256: Uint8Array;
  status: CertificateState;
  revoked_at: number | null;
  reason: RevocationReason | null;
  /** Since when it is known or suspected to be invalid, where somebody said so (RFC 5280 section 5.3.2). */
  invalidity_at: number | null;
  request_id: string;
  csr_sha256: Uint8Array;
  issued_at: number;
}

/** Every key that was ever certified here, for all time; rows are never removed. */
export interface SpkiHistoryTable {
  spki_sha256: Uint8Array;
  /** `device:<id>`, `operator:<name>`, `station:<id>` or `system:<name>`. */
  owner: string;
  /** The certificate that carries it; null when the signature was abandoned before it was recorded. */
  issuer: IssuerName | null;
  serial: Uint8Array | null;
  first_seen: number;
  /** When it was reported to be in foreign hands: it is never certified again. */
  compromised_at: number | null;
}

/**
 * What stands in keyd's journal and not in the records: `abandoned` was signed and given to nobody, so it is on the
 * CRL and its key stays with its owner; `own` is what keyd made for itself (OCSP responders, the evidence signer).
 */
export type JournalFate = 'abandoned' | 'own';

export interface JournalCertificateTable {
  issuer: IssuerName;
  serial: Uint8Array;
  profile: string;
  subject: string;
  spki_sha256: Uint8Array;
  not_after: number;
  request_id: string;
  signed_at: number;
  fate: JournalFate;
  found_at: number;
}

export interface DeviceTable {
  device_id: string;
  state: DeviceState;
  model: string;
  ticket_id: string;
  idevid_serial: Uint8Array;
  /** How it is known where the key of the IDevID is. */
  key_origin: KeyOriginName;
  /** When an operator admitted the device again after its grace period had ended; null when never. */
  readmitted_at: number | null;
  created_at: number;
  changed_at: number;
}

export interface TicketTable {
  ticket_id: string;
  /** The signed ticket, byte for byte as it came. */
  text: string;
  signer: string;
  model: string;
  quota: number;
  not_before: number;
  not_after: number;
  opened_by: string;
  opened_at: number;
}

export interface ProvisioningRecordTable {
  device_id: string;
  ticket_id: string;
  issuer: IssuerName;
  serial: Uint8Array;
  /** YAML, exactly the bytes that are signed. */
  record: string;
  signature: Uint8Array;
  /** The log index of its `device.provisioned` entry. */
  audit_seq: number;
  created_at: number;
  exported_at: number | null;
}

export interface EvidenceTable {
  device_id: string;
  document: string;
  signature: Uint8Array;
  audit_seq: number;
  created_at: number;
  exported_at: number | null;
}

export interface AuditEntryTable {
  seq: number;
  time: number;
  leaf_hash: Uint8Array;
  bytes: Uint8Array;
}

/** The newest CRL of each list; its bytes are a file. */
export interface CrlListTable {
  list: string;
  issuer: IssuerName;
  number: number;
  made_at: number;
  next_update: number;
  bytes: number;
  sha256: Uint8Array;
}

/** Keys that have no row in `certificate`: roots, CAs, signers, the log's, symmetric ones. REQ-KEY-POL-01 */
export interface KeyTable {
  /** Its name in the inventory. */
  id: string;
  /** Null for a symmetric key. */
  spki_sha256: Uint8Array | null;
  purpose: KeyPurposeId;
  algorithm: string;
  strength_bits: number;
  custody: string;
  fips140: string;
  owner: string;
  /** What the history leads to; the end of a usage period is not written down, it comes by itself. */
  state: KeyState;
  generated_at: number;
  activated_at: number | null;
  suspended_at: number | null;
  deactivated_at: number | null;
  compromised_at: number | null;
  destroyed_at: number | null;
  /** notAfter of its certificate; null without one. The usage periods are the policy's, and computed when they are read. */
  certificate_end: number | null;
  successor: string | null;
  /** A flat JSON object. */
  evidence: string;
}

/** What happened to each of these keys, in order from 0. Rows are never changed. */
export interface KeyEventTable {
  key_id: string;
  n: number;
  event: string;
  from_state: KeyState | null;
  to_state: KeyState;
  at: number;
  /** `operator:<name>` or `system:<process>`. */
  actor: string;
  reason: string;
  request_id: string;
  /** The log index of the entry that tells of it. */
  audit_seq: number;
}

export interface MetaTable {
  key: string;
  value: string;
}

export interface MigrationTable {
  version: number;
  name: string;
  applied_at: number;
}

/** The tables, as kysely knows them. */
export interface Schema {
  certificate: CertificateTable;
  spki_history: SpkiHistoryTable;
  journal_certificate: JournalCertificateTable;
  device: DeviceTable;
  ticket: TicketTable;
  provisioning_record: ProvisioningRecordTable;
  evidence: EvidenceTable;
  audit_entry: AuditEntryTable;
  crl_list: CrlListTable;
  key: KeyTable;
  key_event: KeyEventTable;
  revocation_act: RevocationActTable;
  authorisation: AuthorisationTable;
  enrolment_request: EnrolmentRequestTable;
  acme_account: AcmeAccountTable;
  acme_order: AcmeOrderTable;
  acme_authorization: AcmeAuthorizationTable;
  acme_challenge: AcmeChallengeTable;
  enrolment_transaction: EnrolmentTransactionTable;
  consignment: ConsignmentTable;
  quarantined_unit: QuarantinedUnitTable;
  outbox: OutboxTable;
  signing_request: SigningRequestTable;
  trust_bundle: TrustBundleTable;
  uptake: UptakeTable;
  station_sign_on: StationSignOnTable;
  station_result: StationResultTable;
  rotation_campaign: RotationCampaignTable;
  rotation_device: RotationDeviceTable;
  rotation_ring: RotationRingTable;
  rotation_count: RotationCountTable;
  meta: MetaTable;
  migration: MigrationTable;
}
