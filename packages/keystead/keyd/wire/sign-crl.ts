import { MOST_SHARDS } from '@keystead/core/lifecycle';
import { z } from 'zod';
import { crl, listedIssuer, reason, serial, time } from '../wire-types.ts';

/** What fits in a frame, which has 8 MiB; an entry has about 100 bytes. */
export const MOST_ENTRIES = 50_000;
/** A CRL of at most so many octets is in the answer; a longer one is a file. */
export const MOST_CRL_IN_ANSWER = 64 * 1024;

const entries = z.array(z.strictObject({ serial, revokedAt: time, reason: reason.optional() })).max(MOST_ENTRIES);

const shard = z
  .strictObject({ index: z.int().min(0), of: z.int().min(2).max(MOST_SHARDS) })
  .refine(({ index, of }) => index < of, 'must be less than the number of partitions');

/** A CRL that was signed. */
const made = {
  /** DER; empty when `file` says where it is. */
  crl,
  /** Its name in `crl/` beside keyd's socket, until keyd makes the next one of this list. */
  file: z
    .string()
    .regex(/^[a-z0-9][a-z0-9.-]{0,127}$/)
    .optional(),
  bytes: z.int().min(1),
  /** Of the whole CRL, hex. */
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  number: z.int(),
  thisUpdate: time,
  nextUpdate: time,
};

/** Signs a CRL, and with it its delta CRL where the policy has them. */
export const SignCrl = {
  params: z.strictObject({
    issuer: listedIssuer,
    /** Above every number that keyd has signed for this issuer. */
    number: z.int().min(1),
    /** One partition of what is revoked; without it, all. */
    shard: shard.optional(),
    /** The delta CRL alone. */
    deltaOnly: z.boolean().optional(),
    /**
     * The revocations to list. Those that keyd has listed before stay on the list by themselves, so that only
     * new ones need be sent; sending all of them is the same.
     */
    entries,
  }),
  result: z.strictObject({
    ...made,
    /** The delta CRL that goes with it, of the same number. */
    delta: z.strictObject(made).optional(),
    /** Entries that keyd did not list: they take statements of people. */
    withheld: z.int(),
  }),
};

/** Puts revocations on keyd's list, for the next CRL: for more of them than go into one message. */
export const ListRevocations = {
  params: z.strictObject({ issuer: listedIssuer, entries }),
  result: z.strictObject({
    /** How many were there for the first time. */
    fresh: z.int(),
    /** How many take statements of people, and were not listed. */
    withheld: z.int(),
  }),
};
