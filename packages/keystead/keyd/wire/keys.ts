import { KEY_CHANGES, KEY_CUSTODIES, KEY_PURPOSE_IDS } from '@keystead/core/lifecycle';
import { z } from 'zod';
import { issuerId, requestId, spkiSha256, time } from '../wire-types.ts';
import { DESTROYED_WHY } from './firmware-key.ts';

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

/** Every key that keyd holds, with what was ordered of it. */
export const Keys = {
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

/** Carries out an operator's signed order for a key. */
export const ChangeKey = {
  params: z.strictObject({
    /** The order as `signKeyOrder` wrote it, with the operator's own signature. */
    order: z.string().min(1).max(8192),
    requestId,
  }),
  result: z.strictObject({ key: z.string(), change: z.enum(KEY_CHANGES), by: z.string(), at: time }),
};
