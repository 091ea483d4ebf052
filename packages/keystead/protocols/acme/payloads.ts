import { z } from 'zod';

/* What requests carry (RFC 8555 section 7). Members that are not known are passed over, as its section 9.6 has it. */

const contact = z.array(z.string().max(512)).max(64);
const identifier = z.object({ type: z.string().max(64), value: z.string().min(1).max(512) });

export const NewAccount = z.object({
  contact: contact.optional(),
  termsOfServiceAgreed: z.boolean().optional(),
  onlyReturnExisting: z.boolean().optional(),
  externalAccountBinding: z.unknown().optional(),
});

/** An update of an account: what is missing stays. */
export const UpdateAccount = z.object({ contact: contact.optional(), status: z.string().max(64).optional() });

export const NewOrder = z.object({
  identifiers: z.array(identifier).min(1).max(1024),
  notBefore: z.string().max(64).optional(),
  notAfter: z.string().max(64).optional(),
  /** RFC 9773 section 5. */
  replaces: z.string().max(256).optional(),
});

export const UpdateAuthorization = z.object({ status: z.string().max(64) });
export const Finalize = z.object({ csr: z.string().min(1).max(65_536) });
export const KeyChange = z.object({ account: z.string().max(2048), oldKey: z.unknown() });
export const RevokeCertificate = z.object({
  certificate: z.string().min(1).max(65_536),
  reason: z.int().min(0).max(255).optional(),
});
