import {
  BackupIdSchema,
  CEREMONY_KIND_NAMES,
  KEY_CHANGES,
  KEY_CUSTODIES,
  KEY_PURPOSE_IDS,
  MemberSchema,
  MOST_CUSTODIANS,
  MOST_MEMBERS,
  MOST_SHARE_BYTES,
  OFFLINE_CAS,
  ONLINE_CAS,
  PayloadSchema,
} from '@keystead/core/lifecycle';
import { REQUEST_FORMATS } from '@keystead/core/x509';
import { z } from 'zod';
import { AgreedRestore, AgreeRestore, PendingRestore } from './wire/agree-restore.ts';
import { attestationAnswer, ChallengeAttestation, keyOrigin, unitAtLine } from './wire/attestation.ts';
import { CommissionFactory, Factories, FactoryCommission } from './wire/commission-factory.ts';
import { PolicyUpdate, SignHello } from './wire/factory-news.ts';
import { factoryStatus, factoryTrust, TakeCrls } from './wire/factory-node.ts';
import { FirmwareKeys, FirmwareSignatures, SignFirmware } from './wire/firmware.ts';
import { DESTROYED_WHY, OrderFirmwareKey } from './wire/firmware-key.ts';
import { IssueServerKey } from './wire/issue-server-key.ts';
import { Issued } from './wire/issued.ts';
import { OrderRevocation } from './wire/order-revocation.ts';
import { Reconciliation, Resolve, SealParcel, SignConsignment, TakeConsignment } from './wire/reconciliation.ts';
import { CountReportSchema, RecountOperation } from './wire/recount.ts';
import { ReleaseHold } from './wire/release-hold.ts';
import { caRevocation, RevokeCa, SignRootCrl } from './wire/root-crl.ts';
import { ListRevocations, SignCrl } from './wire/sign-crl.ts';
import { SignTimestamp } from './wire/sign-timestamp.ts';
import { SignOff, stationOrder } from './wire/station.ts';
import { TlsSealingKey } from './wire/tls-sealing-key.ts';
import {
  SignTrustBundle,
  TrustBundles,
  TrustIssuers,
  TrustRevocations,
  TrustSerials,
  TrustStatus,
} from './wire/trust.ts';
import { SignTufStatus, TufRepositoriesOperation } from './wire/tuf.ts';
import { challengeElement, DeriveUnitKey, makeUnitKey, unitWay } from './wire/unit-ways.ts';
import {
  bytes,
  caRole,
  certificate,
  crl,
  issuerId,
  label,
  listedIssuer,
  perIssuer,
  reason,
  requestId,
  rootName,
  serial,
  spkiSha256,
  time,
} from './wire-types.ts';

/** The largest frame in either direction, in bytes. */
export const MAX_FRAME_BYTES = 8 * 1024 * 1024;

/** On whose behalf a certificate is asked for. keyd believes none of it without the evidence that belongs to it. */
const Requester = z.strictObject({
  kind: z.enum(['device', 'operator', 'station', 'system', 'authorised']),
  /** Device id, operator name, station name, `serve`, or the id of the authorisation. */
  id: label,
  /** What the requester showed in its TLS handshake; keyd verifies it against its own CAs. */
  certificate: certificate.optional(),
  /** For `authorised`: the signed enrolment authorisation, as `signAuthorisation` wrote it. */
  authorisation: z.string().min(1).max(20_480).optional(),
  /** For `authorised`, where the profile names a device. */
  deviceId: label.optional(),
  /**
   * For `device`: the CMP message (RFC 9810), DER, in which the device signed this very request with the key of
   * `certificate`. keyd verifies it; where the policy wants it, nothing else proves a device.
   */
  message: bytes().optional(),
  /** For the certificate of a station: the order that an operator signed for it. */
  order: stationOrder.optional(),
});

const Issue = {
  params: z.strictObject({
    profile: label,
    /** The request, DER. */
    csr: bytes(),
    /** PKCS#10 unless it says otherwise. */
    format: z.enum(REQUEST_FORMATS).optional(),
    requester: Requester,
    /** For profiles that name hosts; the first becomes the common name. */
    hosts: z.array(z.string().min(1).max(253)).min(1).max(16).optional(),
    requestId,
  }),
  result: Issued,
};

const Provision = {
  params: z.strictObject({
    ...unitAtLine,
    csr: bytes(),
    /** The answer to a challenge, where the key is to be attested. */
    attestation: attestationAnswer.optional(),
    /** Another way to a key; beside `attestation` there is none. */
    way: unitWay.optional(),
  }),
  result: Issued.extend({
    /** The provisioning record, YAML, exactly the bytes that are signed. */
    record: z.string(),
    /** ECDSA over the record with SHA-256 by the evidence key, DER. */
    signature: bytes(),
    /** As the record says it. */
    key: keyOrigin,
  }),
};

const SignOcsp = {
  params: z.strictObject({
    issuer: issuerId,
    responses: z
      .array(
        z.strictObject({
          /** CertID, DER, as the request had it: it is echoed. */
          certId: bytes(1024),
          status: z.enum(['good', 'revoked', 'unknown']),
          revokedAt: time.optional(),
          reason: reason.optional(),
        }),
      )
      .min(1)
      .max(16),
    /** RFC 9654 section 2.1: 1 to 128 octets. */
    nonce: bytes(128)
      .refine((nonce) => nonce.length > 0, 'must be 1 to 128 octets')
      .optional(),
  }),
  result: z.strictObject({
    /** OCSPResponse, DER. */
    response: bytes(),
    thisUpdate: time,
    nextUpdate: time,
  }),
};

const SignCheckpoint = {
  params: z.strictObject({
    /** The size of the tree before these leaves. */
    size: z.int().min(0),
    /** RFC 6962 leaf hashes, 32 bytes each, in order. */
    leaves: z.array(bytes(32)).max(100_000),
  }),
  result: z.strictObject({
    /** A signed note (C2SP tlog-checkpoint) with keyd's timestamped cosignature. */
    checkpoint: z.string(),
    size: z.int(),
  }),
};

const SignEvidence = {
  params: z.strictObject({
    kind: z.literal('decommission'),
    deviceId: label,
    /** Why the device was ended, in a few words. */
    reason: z.string().min(1).max(256),
    operator: label,
    /** What the device or the operator says was wiped. */
    wiped: z.array(z.string().min(1).max(256)).max(64),
    revoked: z.array(z.strictObject({ serial, issuer: listedIssuer, revokedAt: time, reason })).max(1024),
    requestId,
  }),
  result: z.strictObject({ document: z.string(), signature: bytes() }),
};

const SignBackupManifest = {
  params: z.strictObject({
    backupId: BackupIdSchema,
    operator: label,
    /** The newest checkpoint in the backup, or null when the log was empty: keyd verifies that it signed it. */
    checkpoint: z.string().max(4096).nullable(),
    payload: PayloadSchema,
    members: z.array(MemberSchema).min(1).max(MOST_MEMBERS),
    /** In the order of the policy's custodians; whose key each is for is the policy's word and not the caller's. */
    shares: z
      .array(
        z.strictObject({
          name: label,
          commitment: z.string().regex(/^[0-9a-f]{64}$/),
          share: bytes(MOST_SHARE_BYTES),
        }),
      )
      .max(MOST_CUSTODIANS),
    requestId,
  }),
  result: z.strictObject({ manifest: z.string(), signature: bytes() }),
};

/** A restore that keyd's journal has been through. */
const Restore = z.strictObject({
  time,
  backupId: z.string(),
  manifestSha256: z.string(),
  custodians: z.array(z.string()),
  log: z.strictObject({ backup: z.int(), restored: z.int(), newestSeen: z.int() }),
  acceptedLoss: z.boolean(),
  crlNumbers: perIssuer(z.int()),
  refused: z.array(z.strictObject({ time: z.string(), code: z.string(), who: z.string().optional() })),
  restore: z.string().optional(),
  agreed: AgreedRestore.optional(),
});

/** What stands between keyd and the rest of the machine; the fields are explained in host/isolation.ts. */
export const IsolationSchema = z.strictObject({
  uid: z.int(),
  capabilities: z.boolean(),
  noNewPrivileges: z.boolean(),
  network: z.enum(['none', 'present', 'unknown']),
  coreDumps: z.enum(['off', 'empty', 'on']),
  keyMemory: z.enum(['locked', 'not locked']),
  swap: z.enum(['none', 'forbidden', 'possible', 'unknown']),
});

const Status = {
  params: z.strictObject({}),
  result: z.strictObject({
    software: z.string(),
    startedAt: time,
    isolation: IsolationSchema,
    policySha256: z.string(),
    policyVersion: z.int(),
    /** Certificates that keyd's journal knows of. */
    certificates: z.int(),
    log: z.strictObject({
      origin: z.string(),
      size: z.int(),
      /** The last checkpoint that was signed, or null before the first. */
      checkpoint: z.string().nullable(),
    }),
    tickets: z.array(z.strictObject({ id: z.string(), units: z.int(), quota: z.int() })),
    /** The last CRL number for each issuer. */
    crlNumbers: perIssuer(z.int()),
    /** Into how many partitions each issuer's list is to be cut besides the list of all; several after a change. */
    crlShards: perIssuer(z.array(z.int())),
    restores: z.array(Restore),
    /** The restore after which keyd is closed. */
    restorePending: PendingRestore.optional(),
    /** Whether a monotonic counter covers the journal. */
    count: CountReportSchema,
    /** At a factory node. */
    factory: factoryStatus.optional(),
  }),
};

const Trust = {
  params: z.strictObject({}),
  result: z.strictObject({
    /** Those in use. */
    certificates: z.record(caRole, certificate),
    /** Every key of the CAs with its newest certificate: those that issue, and those that answer for what they issued. */
    issuers: z.array(
      z.strictObject({ id: issuerId, ca: z.enum(ONLINE_CAS), certificate, current: z.boolean(), revoked: z.boolean() }),
    ),
    /** The changes of the roots' keys, the oldest first (RFC 9810 section 4.4). */
    rollovers: z.array(
      z.strictObject({
        role: z.enum(OFFLINE_CAS),
        /** The old key and the one after it, as CRL addresses name them. */
        old: rootName,
        next: rootName,
        certificates: z.strictObject({ old: certificate, newWithOld: certificate, oldWithNew: certificate }),
        importedAt: time,
        /** When the old root ceases to be an anchor, by the policy in force. */
        until: time,
      }),
    ),
    /** Who signs the indirect CRL of the root; left out where no ceremony has certified one. */
    crlSigner: certificate.optional(),
    /** CAs that operators revoked between ceremonies, the oldest first. */
    caRevocations: z.array(caRevocation),
    /** The last CRL of each key of a root. */
    rootCrls: z.array(z.strictObject({ id: rootName, crl })),
    /** The ceremonies after the founding, the oldest first. */
    later: z.array(
      z.strictObject({
        number: z.int(),
        ceremony: z.enum(CEREMONY_KIND_NAMES),
        transcriptSha256: z.string(),
        importedAt: time,
        offline: z.boolean(),
        witnesses: z.array(z.string()),
        /** What the CRLs of the roots say, as of this import: issuers that are revoked. */
        revoked: z.array(issuerId),
      }),
    ),
    /** Signs provisioning records and evidence. */
    evidenceSigner: certificate,
    /** Verifier keys (C2SP signed-note) of the log and of its timestamps. */
    vkey: z.string(),
    cosignVkey: z.string(),
    /** The policy in force, the very bytes that the ceremony or a quorum approved. */
    policy: bytes(4 * 1024 * 1024),
    /** At a factory node: its two CAs are the issuers, all others those of headquarters. */
    factory: factoryTrust.optional(),
  }),
};

/** One signed certificate as keyd's journal tells it. */
const JournalCertificate = z.strictObject({
  serial,
  issuer: issuerId,
  profile: z.string(),
  /** Device id, operator name or first host. */
  subject: z.string(),
  spkiSha256,
  notBefore: time,
  notAfter: time,
  time,
  requestId: z.string(),
  ticket: z.string().optional(),
});

const Journal = {
  params: z.strictObject({
    /** Where to read on: 0, or `next` of the answer before. */
    from: z.int().min(0),
    limit: z.int().min(1).max(10_000),
  }),
  result: z.strictObject({
    certificates: z.array(JournalCertificate),
    next: z.int(),
    /** Whether there was nothing more when this was read. */
    end: z.boolean(),
  }),
};

/** A policy that was put in force after that of the ceremony. */
const PolicyChange = z.strictObject({
  version: z.int(),
  sha256: z.string(),
  previousSha256: z.string(),
  approvalsSha256: z.string(),
  appliedAt: time,
  requestId: z.string(),
  proposer: z.string(),
  approvers: z.array(z.strictObject({ name: z.string(), role: z.string() })),
});

const ChangePolicy = {
  params: z.strictObject({
    /** The very bytes of the policy's file. */
    policy: bytes(4 * 1024 * 1024),
    /** The approvals file, as `keystead policy approve` writes it. */
    approvals: z
      .string()
      .min(1)
      .max(256 * 1024),
    requestId,
  }),
  result: PolicyChange,
};

const PolicyHistory = {
  params: z.strictObject({}),
  result: z.strictObject({
    /** The policy of the ceremony. */
    founding: z.strictObject({ version: z.int(), sha256: z.string() }),
    steps: z.array(PolicyChange),
  }),
};

/** What is told of each key, whether or not it has a public half. Never a secret. */
const keyFacts = {
  id: z.string().regex(/^[A-Za-z0-9._-]{1,64}$/),
  purpose: z.enum(KEY_PURPOSE_IDS),
  algorithm: z.string(),
  custody: z.enum(KEY_CUSTODIES),
  fips140: z.string(),
  createdAt: time,
  /** What the module itself says of the key. */
  evidence: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])),
};

const Keys = {
  params: z.strictObject({}),
  result: z.strictObject({
    keys: z.array(
      z.strictObject({
        ...keyFacts,
        spkiSha256,
        /** Null for a key that no ceremony has certified yet. */
        activatedAt: time.nullable(),
        /** Null where the policy sets no end. */
        originatorEnd: time.nullable(),
        recipientEnd: time.nullable(),
        /** What was ordered of the key, oldest first: its state is what they lead to from `active`. */
        changes: z.array(
          z.strictObject({
            change: z.enum(KEY_CHANGES),
            at: time,
            by: z.string(),
            reason: z.string(),
            requestId: z.string(),
          }),
        ),
      }),
    ),
    /** Symmetric keys, which have no hash of a public half. */
    masters: z.array(z.strictObject(keyFacts)),
    /** The OCSP responders' keys that are in memory now. */
    responders: z.array(z.strictObject({ issuer: issuerId, spkiSha256, createdAt: time, useUntil: time })),
    /** Keys that are gone for ever, as keyd's journal has it. */
    destroyed: z.array(z.strictObject({ id: z.string(), spkiSha256, at: time, why: z.enum(DESTROYED_WHY) })),
  }),
};

const ChangeKey = {
  params: z.strictObject({
    /** The order as `signKeyOrder` wrote it, with the operator's own signature. */
    order: z.string().min(1).max(8192),
    requestId,
  }),
  result: z.strictObject({ key: z.string(), change: z.enum(KEY_CHANGES), by: z.string(), at: time }),
};

/**
 * Everything that keyd does for others. None signs bytes that the caller chose: each takes fields, checks them
 * against the policy, and composes what is signed itself. Unknown fields are refused. REQ-KEY-STO-03
 */
export const OPERATIONS = {
  status: Status,
  trust: Trust,
  issue: Issue,
  issueServerKey: IssueServerKey,
  provision: Provision,
  challengeAttestation: ChallengeAttestation,
  challengeElement: challengeElement(unitAtLine),
  makeUnitKey: makeUnitKey(unitAtLine),
  deriveUnitKey: DeriveUnitKey,
  signOcsp: SignOcsp,
  signCrl: SignCrl,
  listRevocations: ListRevocations,
  signCheckpoint: SignCheckpoint,
  signEvidence: SignEvidence,
  signBackupManifest: SignBackupManifest,
  journal: Journal,
  policyHistory: PolicyHistory,
  changePolicy: ChangePolicy,
  keys: Keys,
  changeKey: ChangeKey,
  releaseHold: ReleaseHold,
  // Factory nodes (fac-hq).
  commissionFactory: CommissionFactory,
  factories: Factories,
  factoryCommission: FactoryCommission,
  signConsignment: SignConsignment,
  sealParcel: SealParcel,
  takeConsignment: TakeConsignment,
  resolve: Resolve,
  reconciliation: Reconciliation,
  takeCrls: TakeCrls,
  signHello: SignHello,
  policyUpdate: PolicyUpdate,
  signOff: SignOff,
  signRootCrl: SignRootCrl,
  revokeCa: RevokeCa,
  recount: RecountOperation,
  // Firmware.
  signFirmware: SignFirmware,
  firmwareSignatures: FirmwareSignatures,
  firmwareKeys: FirmwareKeys,
  orderFirmwareKey: OrderFirmwareKey,
  // Time stamps.
  signTimestamp: SignTimestamp,
  // Update repositories.
  signTufStatus: SignTufStatus,
  tufRepositories: TufRepositoriesOperation,
  // Trust bundles.
  signTrustBundle: SignTrustBundle,
  trustBundles: TrustBundles,
  trustStatus: TrustStatus,
  trustRevocations: TrustRevocations,
  trustSerials: TrustSerials,
  trustIssuers: TrustIssuers,
  // After a restore.
  agreeRestore: AgreeRestore,
  // Revocations by several people.
  orderRevocation: OrderRevocation,
  // serve's own TLS keys.
  tlsSealingKey: TlsSealingKey,
} as const;

export type OperationName = keyof typeof OPERATIONS;
export const OPERATION_NAMES = Object.keys(OPERATIONS) as OperationName[];

/** What a caller gives, with bytes as Uint8Array and times as Date. */
export type Params<Op extends OperationName> = z.output<(typeof OPERATIONS)[Op]['params']>;
/** What a caller gets. */
export type Result<Op extends OperationName> = z.output<(typeof OPERATIONS)[Op]['result']>;

/** A request on the wire. */
export const RequestSchema = z.strictObject({
  /** Chosen by the caller; the answer carries it. */
  id: z.int().min(0),
  op: z.enum(OPERATION_NAMES),
  params: z.unknown(),
});

/** An answer on the wire: `ok`, or the error as KeysteadError.toJSON() gives it. */
export const AnswerSchema = z.union([
  z.strictObject({ id: z.int().min(0), ok: z.unknown() }),
  z.strictObject({
    id: z.int().min(0),
    error: z.strictObject({
      code: z.string(),
      message: z.string(),
      field: z.string().optional(),
      seen: z.string().optional(),
      remedy: z.string().optional(),
    }),
  }),
]);

/**
 * A message as JSON: bytes become base64, times ISO 8601. A plain replacer would see a Date only after its own
 * toJSON and a Buffer as an object, hence `this`.
 */
export function toWire(message: unknown): string {
  return JSON.stringify(message, wireValue);
}

function wireValue(this: unknown, key: string, value: unknown): unknown {
  const original = typeof this === 'object' && this !== null ? Reflect.get(this, key) : value;
  if (!(original instanceof Uint8Array)) return value;
  return Buffer.from(original.buffer, original.byteOffset, original.byteLength).toString('base64');
}
