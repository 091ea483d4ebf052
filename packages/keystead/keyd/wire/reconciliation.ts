import { CONFLICT_NAMES, factoryName, MOST_CONSIGNED } from '@keystead/core/lifecycle';
import { z } from 'zod';
import { requestId, time } from '../wire-types.ts';

const hash = z.string().regex(/^[0-9a-f]{64}$/);
const number = z.int().min(1).max(Number.MAX_SAFE_INTEGER);
const base64 = (max: number) => z.base64().max(Math.ceil(max / 3) * 4);
const conflict = z.strictObject({ conflict: z.enum(CONFLICT_NAMES), with: z.string().min(1).max(160) });

/** The next consignment of a factory node, or one that was signed before. */
export const SignConsignment = {
  params: z.strictObject({
    /** Which one is wanted: the one after the last that the records have. */
    number,
    requestId,
  }),
  result: z.strictObject({
    /** The file of the consignment; null when nothing has happened since the one before. */
    document: z.string().nullable(),
  }),
};

/** The seal of a parcel of this factory node. */
export const SealParcel = {
  params: z.strictObject({ number, consignmentSha256: hash, contentsSha256: hash, requestId }),
  /** As `signSeal` writes it. */
  result: z.strictObject({ seal: z.string() }),
};

/** A parcel of a factory, at headquarters. */
export const TakeConsignment = {
  params: z.strictObject({
    consignment: z
      .string()
      .min(1)
      .max(3 * 1024 * 1024),
    tickets: z.array(z.string().min(1).max(65_536)).max(MOST_CONSIGNED),
    contents: z
      .array(
        z
          .strictObject({
            certificate: base64(8192),
            record: z.string().min(1).max(16_384),
            signature: base64(1024),
          })
          .nullable(),
      )
      .max(MOST_CONSIGNED),
    seal: z.string().min(1).max(4096),
    /**
     * What the records have against units, by their place in the consignment: keys that are in use for something else than
     * an IDevID. It can only put a unit into quarantine.
     */
    seen: z
      .array(
        z.strictObject({
          index: z
            .int()
            .min(0)
            .max(MOST_CONSIGNED - 1),
          ...conflict.shape,
        }),
      )
      .max(MOST_CONSIGNED),
    requestId,
  }),
  result: z.strictObject({
    factory: factoryName,
    number,
    sha256: hash,
    /** The file of the receipt. */
    receipt: z.string(),
    repeated: z.boolean(),
    missing: z.array(number),
  }),
};

const unit = z.strictObject({ where: z.string(), deviceId: z.string() });

/** An operator's decision about a unit in quarantine, or about a second history. */
export const Resolve = {
  params: z.strictObject({ resolution: z.string().min(1).max(20_480), requestId }),
  result: z.strictObject({
    id: z.string(),
    act: z.enum(['release', 'reject', 'accept']),
    by: z.string(),
    at: time,
    factory: factoryName,
    /** Whether it had been carried out before. */
    repeated: z.boolean(),
    /** For a unit: its device id, and the serial number that the resolution names. */
    deviceId: z.string().optional(),
    serial: z.string().optional(),
    /** Every certificate of the unit that its device was given, the serial numbers. */
    serials: z.array(z.string()),
    /** What a release ended: units of factories with their certificates, devices of headquarters. */
    ended: z.array(unit.extend({ serials: z.array(z.string()) })),
  }),
};

/** How far reconciliation is, and what waits for people. */
export const Reconciliation = {
  params: z.strictObject({}),
  result: z.strictObject({
    factories: z.array(
      z.strictObject({
        factory: factoryName,
        highest: z.int(),
        missing: z.array(number),
        units: z.int(),
        /** The consignment that stopped it, and the one that it contradicts. */
        fork: z.strictObject({ number, sha256: hash, known: z.strictObject({ number, sha256: hash }) }).nullable(),
      }),
    ),
    quarantined: z.array(
      z.strictObject({
        factory: factoryName,
        deviceId: z.string(),
        serials: z.array(z.string()),
        spkiSha256: hash,
        ticket: z.string(),
        conflicts: z.array(conflict),
      }),
    ),
  }),
};
