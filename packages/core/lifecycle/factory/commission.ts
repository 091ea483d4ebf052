import { z } from 'zod';
import type { DerSpki } from '../../bytes/index.ts';
import type { Signer } from '../../crypto/index.ts';
import { COMMISSION_ACTS } from './commission-order.ts';
import { deviceIdPrefix, hash, pemCertificate, serverName, wholeSecond } from './fields.ts';
import { factoryName } from './name.ts';
import {
  EVIDENCE_CODES,
  type EvidenceDocument,
  type EvidenceKind,
  parseEvidence,
  signByEvidence,
  verifyEvidence,
} from './signed.ts';

/**
 * What headquarters hands to a factory node: certificates for its keys, and everything by which it works without a
 * link. Signed by the evidence key of headquarters' keyd. Each is understood by itself: a later one (a renewal) has a
 * higher `number`.
 */
const CommissionSchema = z.strictObject({
  v: z.literal(1),
  /** What the order of the quorum was for. After `close` the node issues nothing more. */
  act: z.enum(COMMISSION_ACTS),
  factory: factoryName,
  /** Counted for each factory from 1. */
  number: z.int().min(1).max(9999),
  issuedAt: wholeSecond,
  requestSha256: hash,
  orderSha256: hash,
  deviceIdPrefixes: z.array(deviceIdPrefix).min(1).max(64),
  /** What its servers are called: its server sub-CA is constrained to these. */
  serverNames: z.array(serverName).min(1).max(16),
  /** The node's own: its two sub-CAs, and its evidence signer, which its server sub-CA's issuer has certified. */
  issued: z.strictObject({ manufacturing: pemCertificate, server: pemCertificate, evidence: pemCertificate }),
  /** Those of headquarters that are in use. */
  certificates: z.strictObject({
    root: pemCertificate,
    'signing-root': pemCertificate,
    manufacturing: pemCertificate,
    operational: pemCertificate,
    server: pemCertificate,
    operator: pemCertificate,
    /** Signs commissions and receipts. */
    'evidence-signer': pemCertificate,
  }),
  /** The CRLs of headquarters and of the roots as they were then, DER in base64, by issuer. */
  crls: z.record(z.string().regex(/^[a-z][a-z0-9.-]{0,63}$/), z.base64()),
  /** The policy in force, the very bytes of its file, base64. The node's policies go on from here. */
  policy: z.base64(),
  /** The verifier keys of headquarters' log. */
  log: z.strictObject({ vkey: z.string().min(1).max(512), cosignVkey: z.string().min(1).max(512) }),
});
export type Commission = z.infer<typeof CommissionSchema>;

const KIND: EvidenceKind<Commission> = {
  codes: EVIDENCE_CODES,
  context: 'keystead factory commission v1\n',
  name: 'commission',
  schema: CommissionSchema,
  maxBytes: 16 * 1024 * 1024,
};

/** Returns the file of a commission. @throws KeysteadError `factory.document-malformed`. */
export const signCommission = (draft: Omit<Commission, 'v'>, signer: Pick<Signer, 'sign'>): Promise<string> =>
  signByEvidence(KIND, { v: 1, ...draft }, signer);

/** Reads a commission; verifies nothing. @throws KeysteadError `factory.document-malformed`. */
export const parseCommission = (text: string): EvidenceDocument<Commission> => parseEvidence(KIND, text);

/**
 * Verifies the signature of a commission. That the certificates lead to the root that a person vouches for, and that the
 * signer is headquarters' evidence signer, is the import's work.
 * @throws KeysteadError `factory.document-malformed`, `factory.signature-invalid`.
 */
export const verifyCommission = (text: string, evidenceSpki: DerSpki): EvidenceDocument<Commission> =>
  verifyEvidence(KIND, text, evidenceSpki);
