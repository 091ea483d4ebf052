import { fromBase64 } from '@keystead/core/bytes';
import { z } from 'zod';
import { deviceId, pemOrBase64, ticketId } from '../rest/schemas.ts';

/** The station's own time, UTC: its clock is held against the node's. */
const time = z.iso.datetime({ offset: false }).transform((text) => new Date(text));
/** Bytes as base64, at most `max` of them. */
const bytes = (max: number) =>
  z
    .base64()
    .min(1)
    .max(Math.ceil(max / 3) * 4)
    .transform(fromBase64);
const structure = bytes(1024);
const unit = { ticketId: ticketId.optional(), deviceId, time };

/** A sign-on as an operator's key signed it: the members of the file, so that a shell can put it into a body as it is. */
const signed = z.strictObject({
  payload: z.string().max(16_384),
  signer: z.string().max(64),
  signature: z.string().max(2048),
});

export const SignOn = z.strictObject({ time, signOn: signed });
export const OpenBatch = z.strictObject({ ticket: z.string().min(1).max(16_384) });
export const Unit = z.strictObject({
  ...unit,
  csr: pemOrBase64,
  attestation: z
    .strictObject({ challengeId: z.string().regex(/^[0-9a-f]{32}$/, '32 hex digits'), secret: bytes(64) })
    .optional(),
  /** Another way to a key than the unit's own; what stands in it is that way's business. */
  way: z.record(z.string(), z.unknown()).optional(),
});
export const Challenge = z.strictObject({
  ...unit,
  ekCertificate: bytes(8192).optional(),
  ekPublic: structure,
  akPublic: structure,
  keyPublic: structure,
  attest: structure,
  signature: structure,
});
export const Device = z.strictObject({ deviceId });

/** The statement as `signSignOn` wrote it: its members in the one order that they have there. */
export const signOnText = ({ payload, signer, signature }: z.output<typeof signed>): string =>
  JSON.stringify({ payload, signer, signature });
