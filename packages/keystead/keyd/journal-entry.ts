import { KEY_CHANGES, KEY_ORIGINS } from '@keystead/core/lifecycle';
import { z } from 'zod';
import { ConsignmentEntry, ForkedEntry, ResolvedEntry, TakenEntry } from './consigned/entries.ts';
import { FactoryEntry } from './factory-entry.ts';
import {
  FirmwareCertificateEntry,
  FirmwareDestroyedEntry,
  FirmwareKeyEntry,
  FirmwareOrderEntry,
  FirmwareSignatureEntry,
  FirmwareStampEntry,
} from './firmware-entries.ts';
import { hex, isoTime, numbered } from './journal-fields.ts';
import { RestoreAgreedEntry, RestoredEntry, RestoreRefusedEntry } from './restore-entries.ts';
import {
  CaRevocationEntry,
  CrlEntry,
  ReleaseEntry,
  RevocationOrderEntry,
  RevocationsEntry,
  RootCrlEntry,
} from './revocation-entries.ts';
import { TrustBundleEntry } from './trust-entry.ts';
import { TufRootEntry, TufStatusEntry } from './tuf-entries.ts';
import { issuerId } from './wire-types.ts';

/** A certificate that is about to be signed. */
const CertificateEntry = z.strictObject({
  ...numbered,
  kind: z.literal('certificate'),
  serial: hex,
  issuer: issuerId,
  profile: z.string(),
  /** Device id, operator name or first host. */
  subject: z.string(),
  spkiSha256: hex,
  notBefore: isoTime,
  notAfter: isoTime,
  requestId: z.string(),
  /** In how many partitions its issuer lists it, where these are more than one. */
  shards: z.int().min(2).optional(),
  /** For a unit of a batch. */
  ticket: z.strictObject({ id: z.string(), sha256: hex, quota: z.int() }).optional(),
  /** For an enrolment by authorisation. */
  authorisation: z.strictObject({ id: z.string(), sha256: hex }).optional(),
  /** For a key that keyd made for a device. */
  keyOrigin: z.literal('keyd').optional(),
  /** For a unit with a secure element: by what its chip is known again. */
  chips: z.array(hex).min(1).max(2).optional(),
});

/** A key that keyd made for a unit and wrapped to it, before it is certified. */
const UnitKeyEntry = z.strictObject({
  ...numbered,
  kind: z.literal('unit-key'),
  /** The device id. */
  subject: z.string(),
  ticketSha256: hex,
  spkiSha256: hex,
  recipientSha256: hex,
  packageSha256: hex,
  /** Where package and request lie in the file `injected`. */
  place: z.strictObject({ at: z.int().min(0), bytes: z.int().min(1).max(65_536), sha256: hex }),
  /** The chip that holds the recipient's key, where that was shown. */
  chip: z
    .strictObject({
      chipCertificateSha256: hex,
      chipSpkiSha256: hex,
      chipIssuer: z.string(),
      chipSerial: z.string(),
    })
    .optional(),
  /** By what that chip is known again. */
  chips: z.array(hex).min(1).max(2).optional(),
  requestId: z.string(),
});

/** A master from which keys of devices are derived, after it was made and before it is used. */
const MasterKeyEntry = z.strictObject({
  ...numbered,
  kind: z.literal('master-key'),
  /** Its id in the keystore. */
  key: z.string(),
  custody: z.string(),
});

/** A symmetric key that was derived for a device and given out wrapped. */
const DerivedEntry = z.strictObject({
  ...numbered,
  kind: z.literal('derived'),
  /** The device id. */
  subject: z.string(),
  purpose: z.string(),
  version: z.int().min(1),
  recipientSha256: hex,
  requestId: z.string(),
});

/** A signed document: a provisioning record or evidence of an end. */
const DocumentEntry = z.strictObject({
  ...numbered,
  kind: z.literal('document'),
  document: z.enum(['provisioning', 'decommission', 'backup']),
  subject: z.string(),
  sha256: hex,
  requestId: z.string(),
  /** Of a provisioning record: which certificate it is about, and how it is known where the key is. */
  unit: z.strictObject({ serial: hex, keyOrigin: z.enum(KEY_ORIGINS) }).optional(),
});

/** A policy that was put in force after that of the ceremony. Its file and approvals lie in `policies/`. */
const PolicyEntry = z.strictObject({
  ...numbered,
  kind: z.literal('policy'),
  version: z.int().min(2),
  policySha256: hex,
  previousSha256: hex,
  approvalsSha256: hex,
  requestId: z.string(),
});

/** An operator's order that changed the state of one of keyd's own keys. */
const KeyEntry = z.strictObject({
  ...numbered,
  kind: z.literal('key'),
  /** The key's id in the keystore, and which key that was. */
  key: z.string(),
  spkiSha256: hex,
  change: z.enum(KEY_CHANGES),
  /** The operator whose signature the order carried. */
  by: z.string(),
  reason: z.string(),
  requestId: z.string(),
});

/** A sign-on at a station that was ended before its time. */
const SignOffEntry = z.strictObject({
  ...numbered,
  kind: z.literal('sign-off'),
  /** SHA-256 of the sign-on's payload. */
  signOnSha256: hex,
  /** When it would have ended by itself. */
  until: isoTime,
  by: z.string(),
  requestId: z.string(),
});

/** That time stamps were signed: at most one entry an hour, so that whoever asks for many does not fill the disk. */
const TimestampsEntry = z.strictObject({
  ...numbered,
  kind: z.literal('timestamps'),
  /** How many since the entry before of this kind, or since the start; the one that is about to be signed is among them. */
  tokens: z.int().min(1),
});

/** Which step of the counter it was: 16 bytes, hex. */
const mark = z.string().regex(/^[0-9a-f]{32}$/);

/** The step of the monotonic counter that covers the entries after it, until the next one. REQ-KEY-PROV-01 */
const CountEntry = z.strictObject({ ...numbered, kind: z.literal('count'), value: z.int().min(0), mark });

/**
 * An order of operators to go on where journal and counter did not agree: the journal goes on from the counter's value,
 * and what could be used before is closed. REQ-KEY-PROV-01
 */
const RecountEntry = z.strictObject({
  ...numbered,
  kind: z.literal('recount'),
  counter: z.strictObject({ make: z.string(), name: z.string(), value: z.int().min(0), mark }),
  /** The value that the journal had, or null. */
  journal: z.int().min(0).nullable(),
  orderSha256: hex,
  signers: z.array(z.string()).min(1).max(16),
  reason: z.string(),
  requestId: z.string(),
});

/** One line of keyd's journal: what it signed, written down and durable before it is given out. */
export const JournalEntrySchema = z.discriminatedUnion('kind', [
  CertificateEntry,
  CrlEntry,
  RevocationsEntry,
  DocumentEntry,
  PolicyEntry,
  KeyEntry,
  ReleaseEntry,
  RevocationOrderEntry,
  SignOffEntry,
  RestoredEntry,
  RestoreAgreedEntry,
  RestoreRefusedEntry,
  ConsignmentEntry,
  TakenEntry,
  ForkedEntry,
  ResolvedEntry,
  FactoryEntry,
  UnitKeyEntry,
  MasterKeyEntry,
  DerivedEntry,
  CountEntry,
  RecountEntry,
  RootCrlEntry,
  CaRevocationEntry,
  FirmwareOrderEntry,
  FirmwareSignatureEntry,
  FirmwareStampEntry,
  FirmwareCertificateEntry,
  FirmwareKeyEntry,
  FirmwareDestroyedEntry,
  TimestampsEntry,
  TufRootEntry,
  TufStatusEntry,
  TrustBundleEntry,
]);

export type JournalEntry = z.infer<typeof JournalEntrySchema>;
export type CertificateJournalEntry = z.infer<typeof CertificateEntry>;
export type KeyJournalEntry = z.infer<typeof KeyEntry>;
export type PolicyJournalEntry = z.infer<typeof PolicyEntry>;
export type SignOffJournalEntry = z.infer<typeof SignOffEntry>;
export type RecountJournalEntry = z.infer<typeof RecountEntry>;

export type MasterKeyJournalEntry = z.infer<typeof MasterKeyEntry>;
export type UnitKeyJournalEntry = z.infer<typeof UnitKeyEntry>;

type Unnumbered<T> = T extends unknown ? Omit<T, 'n'> : never;
/** An entry before the journal gives it its number. */
export type JournalDraft = Unnumbered<JournalEntry>;
