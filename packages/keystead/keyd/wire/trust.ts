import { SIGNER_ALGORITHMS } from '@keystead/core/trust';
import { z } from 'zod';
import { bytes, label, listedIssuer, requestId, serial, spkiSha256, time } from '../wire-types.ts';

/** A proposal and at most 16 approvals. */
const MOST_STATEMENTS = 17;
/** A filter with its deltas as keyd takes them: a hundred million certificates are of this order. */
export const MOST_CHAIN_BYTES = 4 * 1024 * 1024;
/** A base and 64 deltas. */
const MOST_FILES = 65;
/** As many bundles as one answer tells, and as many serial numbers. */
export const MOST_BUNDLES_TOLD = 100;
export const MOST_SERIALS_TOLD = 20_000;

const hash = z.string().regex(/^[0-9a-f]{64}$/);
const version = z.int().min(1).max(0xffff_ffff);

/** A bundle that keyd signed. */
const told = z.strictObject({
  version,
  /** As devices have it: COSE_Sign1. */
  bundle: bytes(),
  /** SHA-256 of what is signed in it, hex: by this a device knows the bundle. */
  sha256: hash,
  /** As people have it. */
  jws: z.string(),
  issuedAt: time,
  expires: time,
  filterSha256: hash.nullable(),
  /** SHA-256 of the signer's SubjectPublicKeyInfo. */
  signer: hash,
  /** Which change of the content it holds, and whether it was the first to hold it. */
  change: z.int(),
  changed: z.boolean(),
  /** Whether the signers of the next ones are others than those of the one before. */
  signersChanged: z.boolean(),
});

/**
 * Signs a trust bundle: with statements the content that a quorum ordered, without them the content that stands. Everything
 * else of it is keyd's.
 */
export const SignTrustBundle = {
  params: z.strictObject({
    /** The statements as `signTrustStatement` wrote them, the proposal first; none for the same content anew. */
    statements: z.array(z.string().min(1).max(65_536)).max(MOST_STATEMENTS),
    /** The revocation filter and its deltas, the oldest first; none to go on with the one before. */
    filter: z.array(bytes(MOST_CHAIN_BYTES)).max(MOST_FILES),
    requestId,
  }),
  result: told,
};

/** The bundles that were signed, the oldest first. */
export const TrustBundles = {
  params: z.strictObject({
    /** Those after this version; 0 for all. */
    after: z.int().min(0).max(0xffff_ffff),
    limit: z.int().min(1).max(MOST_BUNDLES_TOLD),
  }),
  result: z.strictObject({ bundles: z.array(told), end: z.boolean() }),
};

/** How it stands with the trust bundles of this keyd. */
export const TrustStatus = {
  params: z.strictObject({}),
  result: z.strictObject({
    fleet: z.string(),
    keys: z.array(
      z.strictObject({
        id: label,
        keystoreId: z.string(),
        algorithm: z.enum(SIGNER_ALGORITHMS),
        /** Null until keyd has made it, at its next start. */
        spki: bytes().nullable(),
        /** Why it signs nothing now; null where it signs. */
        refused: z.string().nullable(),
      }),
    ),
    /** The last bundle; null before the first. */
    latest: told.nullable(),
    /** What stands in it, as JSON; null before the first. */
    content: z.string().nullable(),
    /** How many times the content was changed. */
    changes: z.int(),
    /** Each change, the oldest first. */
    orders: z.array(
      z.strictObject({
        order: z.string(),
        at: time,
        version,
        by: label,
        approvers: z.array(label),
        reason: z.string(),
        strand: z.boolean(),
      }),
    ),
    /** When the filter of the last bundle was built; null where there is none. */
    filterDate: time.nullable(),
    /** When the same content is signed anew without anything else, and when a filter is due. */
    refreshAt: time.nullable(),
    filterAt: time.nullable(),
    /** Whether something was revoked or put on hold, or came off one, or a CA is believed no more, since the last filter. */
    urgent: z.boolean(),
  }),
};

/** Serial numbers of one issuer, from a place on. */
const serialPage = {
  params: z.strictObject({
    issuer: listedIssuer,
    /** 0, or `next` of the answer before. */
    from: z.int().min(0),
    limit: z.int().min(1).max(MOST_SERIALS_TOLD),
  }),
  result: z.strictObject({ serials: z.array(serial), next: z.int(), end: z.boolean() }),
};

/** What keyd lists as revoked or on hold of the certificates of an issuer: a filter must say so of each. */
export const TrustRevocations = serialPage;

/**
 * Every certificate of an issuer that keyd knows and that has not ended. Of the CA of a factory all that were told, also
 * those that have ended: what keyd keeps of them has no end, and an IDevID is for life.
 */
export const TrustSerials = serialPage;

/** Whose certificates a filter covers: every key of the CAs of the policy, and the CAs of factories. */
export const TrustIssuers = {
  params: z.strictObject({}),
  result: z.strictObject({
    issuers: z.array(
      z.strictObject({
        issuer: listedIssuer,
        spkiSha256,
        /** Of the CA of a factory: certificates whose notBefore is later are not known yet. Null for keyd's own. */
        through: time.nullable(),
        /** Nothing that it signed is believed: a filter has all of it as revoked, also what was never issued. */
        revoked: z.boolean(),
        /** Certificates of the CAs of factories, which stand in no record of the front end. */
        commissioned: z.array(serial),
      }),
    ),
  }),
};
