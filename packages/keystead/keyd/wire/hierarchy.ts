import { CEREMONY_KIND_NAMES, OFFLINE_CAS, ONLINE_CAS } from '@keystead/core/lifecycle';
import { z } from 'zod';
import { bytes, caRole, certificate, crl, issuerId, rootName, time } from '../wire-types.ts';
import { factoryTrust } from './factory-node.ts';
import { caRevocation } from './root-crl.ts';

/** The certificates, verifier keys and policy that keyd goes by. */
export const Trust = {
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
