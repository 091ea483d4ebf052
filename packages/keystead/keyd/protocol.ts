import { z } from 'zod';
import {
  bytes,
  caRole,
  certificate,
  crl,
  label,
  onlineCa,
  reason,
  requestId,
  serial,
  spkiSha256,
  time,
} from './wire-types.ts';

/** The largest frame in either direction, in bytes. */
export const MAX_FRAME_BYTES = 8 * 1024 * 1024;

/** On whose behalf a certificate is asked for. keyd believes none of it without the evidence that belongs to it. */
const Requester = z.strictObject({
  kind: z.enum(['device', 'operator', 'station', 'system']),
  /** Device id, operator name, station name, or `serve`. */
  id: label,
  /** What the requester showed in its TLS handshake; keyd verifies it against its own CAs. */
  certificate: certificate.optional(),
});

/** A certificate as keyd gives it out, after reading back what it signed. */
const Issued = z.strictObject({
  certificate,
  spkiSha256,
  serial,
  notBefore: time,
  /** 9999-12-31T23:59:59.000Z for a certificate without an end. */
  notAfter: time,
});

const Issue = {
  params: z.strictObject({
    profile: label,
    /** PKCS#10, DER. */
    csr: bytes(),
    requester: Requester,
    /** For profiles that name hosts; the first becomes the common name. */
    hosts: z.array(z.string().min(1).max(253)).min(1).max(16).optional(),
    requestId,
  }),
  result: Issued,
};

const Provision = {
  params: z.strictObject({
    /** The signed batch ticket, as `signTicket` wrote it. */
    ticket: z.string().min(1).max(16_384),
    deviceId: label,
    csr: bytes(),
    station: label,
    /** The operator at the line: a name that stands in the policy. */
    operator: label,
    line: label,
    requestId,
  }),
  result: Issued.extend({
    /** The provisioning record, YAML, exactly the bytes that are signed. */
    record: z.string(),
    /** ECDSA over the record with SHA-256 by the evidence key, DER. */
    signature: bytes(),
  }),
};

const SignOcsp = {
  params: z.strictObject({
    issuer: onlineCa,
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
    nonce: bytes(128).optional(),
  }),
  result: z.strictObject({
    /** OCSPResponse, DER. */
    response: bytes(),
    thisUpdate: time,
    nextUpdate: time,
  }),
};

const SignCrl = {
  params: z.strictObject({
    issuer: onlineCa,
    /** Above every number that keyd has signed for this issuer. */
    number: z.int().min(1),
    /**
     * The revocations to list. Those that keyd has listed before stay on the list by themselves, so that only
     * new ones need be sent; sending all of them is the same.
     */
    entries: z.array(z.strictObject({ serial, revokedAt: time, reason: reason.optional() })).max(100_000),
  }),
  result: z.strictObject({ crl, number: z.int(), thisUpdate: time, nextUpdate: time }),
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
    revoked: z.array(z.strictObject({ serial, issuer: onlineCa, revokedAt: time, reason })).max(1024),
    requestId,
  }),
  result: z.strictObject({ document: z.string(), signature: bytes() }),
};

const Status = {
  params: z.strictObject({}),
  result: z.strictObject({
    software: z.string(),
    startedAt: time,
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
    crlNumbers: z.partialRecord(onlineCa, z.int()),
  }),
};

const Trust = {
  params: z.strictObject({}),
  result: z.strictObject({
    certificates: z.record(caRole, certificate),
    /** Signs provisioning records and evidence. */
    evidenceSigner: certificate,
    /** What leads from the new key of a root to an old one and back, after a rollover. */
    rollovers: z.array(certificate).max(64),
    /** The ceremonies after the founding, in their order. */
    later: z.array(z.strictObject({ number: z.int().min(2), ceremony: z.string(), transcriptSha256: z.string() })),
    /** Verifier keys (C2SP signed-note) of the log and of its timestamps. */
    vkey: z.string(),
    cosignVkey: z.string(),
    /** The policy in force, the very bytes that the ceremony or a quorum approved. */
    policy: bytes(4 * 1024 * 1024),
  }),
};

/** One signed certificate as keyd's journal tells it. */
const JournalCertificate = z.strictObject({
  serial,
  issuer: onlineCa,
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

/**
 * Everything that keyd does for others. None signs bytes that the caller chose: each takes fields, checks them
 * against the policy, and composes what is signed itself. Unknown fields are refused. REQ-KEY-STO-03
 */
export const OPERATIONS = {
  status: Status,
  trust: Trust,
  issue: Issue,
  provision: Provision,
  signOcsp: SignOcsp,
  signCrl: SignCrl,
  signCheckpoint: SignCheckpoint,
  signEvidence: SignEvidence,
  journal: Journal,
  policyHistory: PolicyHistory,
  changePolicy: ChangePolicy,
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
