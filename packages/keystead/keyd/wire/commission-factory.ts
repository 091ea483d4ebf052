import { COMMISSION_ACTS, COUNTER_KINDS, FACTORY_CUSTODIES } from '@keystead/core/lifecycle';
import { z } from 'zod';
import { bytes, certificate, crl, issuerId, label, requestId, time } from '../wire-types.ts';

/** A proposal and at most 16 approvals. */
const MOST_STATEMENTS = 17;
/** The most octets that the CRLs of one commission may have together: an answer has 8 MiB, and they grow by base64 twice. */
export const MOST_CRL_BYTES = 2 * 1024 * 1024;

const factory = z.string().regex(/^[a-z0-9][a-z0-9-]{0,31}$/);
const sha256 = z.string().regex(/^[0-9a-f]{64}$/);

/** An order about a factory that was carried out. */
const Act = z.strictObject({
  act: z.enum(COMMISSION_ACTS),
  factory,
  number: z.int().min(1),
  order: z.string(),
  orderSha256: sha256,
  requestSha256: sha256,
  by: label,
  approvers: z.array(label),
  at: time,
  deviceIdPrefixes: z.array(z.string()),
  custody: z.enum(FACTORY_CUSTODIES),
  counter: z.enum(COUNTER_KINDS),
  log: z.strictObject({ vkey: z.string(), cosignVkey: z.string() }),
  /** By the slot of the request: the certificate, and the key of headquarters that signed it. */
  certified: z.strictObject({
    manufacturing: z.strictObject({ issuer: issuerId, certificate }),
    server: z.strictObject({ issuer: issuerId, certificate }),
    evidence: z.strictObject({ issuer: issuerId, certificate }),
  }),
  commissionSha256: sha256,
  requestId,
});

/** Founds a factory node, renews what it has, or ends it. */
export const CommissionFactory = {
  params: z.strictObject({
    /** The file of the node's request, its very bytes. */
    request: bytes(256 * 1024),
    /** The statements as `signCommissionStatement` wrote them, the proposal first. */
    statements: z.array(z.string().min(1).max(20_480)).min(1).max(MOST_STATEMENTS),
    /** Full CRLs of keyd's CAs and of the roots, for the node to begin with; keyd verifies whose each is and that it is in force. */
    crls: z.array(crl).max(16),
    requestId,
  }),
  result: z.strictObject({
    ...Act.shape,
    /** The file for the node. */
    commission: z.string(),
  }),
};

/** What keyd knows of factory nodes. */
export const Factories = {
  params: z.strictObject({}),
  result: z.strictObject({
    factories: z.array(
      z.strictObject({
        name: factory,
        /** Every order, the oldest first. */
        acts: z.array(Act),
        /** When it was closed, and whether the certificates of its CAs were revoked with that. */
        closed: z.strictObject({ at: time, revoked: z.boolean() }).nullable(),
        /** Units that it has told of, also those in quarantine. */
        units: z.int().min(0),
      }),
    ),
  }),
};

/** The file of a commission that keyd has made before. */
export const FactoryCommission = {
  params: z.strictObject({ factory, number: z.int().min(1).max(9999) }),
  result: z.strictObject({ commission: z.string() }),
};
