import { z } from 'zod';
import { fromBase64, toBase64url } from '../../bytes/index.ts';
import { parseSshPublicKey, readCoseKey } from '../../crypto/index.ts';
import { KeysteadError } from '../../errors/index.ts';

/** As many as one person can keep track of: two security keys, a passkey on a laptop, a smart card, and their successors. */
const MOST_SIGNERS = 8;

/** Accepts what `read` reads; its refusal is the message. */
const readable = (read: (text: string) => unknown) =>
  z
    .string()
    .max(4096)
    .superRefine((text, context) => {
      try {
        read(text);
      } catch (error) {
        const why = error instanceof KeysteadError ? `${error.code}, ${error.seen ?? ''}` : 'malformed';
        context.addIssue({ code: 'custom', message: `must be a public key of its kind: ${why}` });
      }
    });

const base64url = z.string().refine((text) => toBase64url(Buffer.from(text, 'base64url')) === text && text !== '', {
  message: 'must be base64url',
});

/** A host name (WebAuthn level 2 section 5.1.2): lower case, no port. */
const rpId = z.string().regex(/^[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?$/, 'must be a host name in lower case');

/** As browsers write an origin: without a slash at the end. Plain HTTP is for a browser on the machine itself alone. */
const origin = z
  .string()
  .max(300)
  .regex(
    /^(?:https:\/\/[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|http:\/\/localhost)(?::[1-9][0-9]{0,4})?$/,
    'must be https: with host and port and nothing behind them',
  );

const SshSchema = z
  .strictObject({
    kind: z.literal('ssh'),
    /** A line of OpenSSH: type, base64, and perhaps a remark. Held in hardware when the type begins with `sk-`. */
    key: readable(parseSshPublicKey),
    /** Of a key in a security key: its PIN must have been given, not only a touch. */
    verify: z.literal(true).optional(),
  })
  .refine(({ key, verify }) => verify === undefined || key.startsWith('sk-'), {
    path: ['verify'],
    message: 'is for keys in security keys: their type begins with sk-',
  });

const WebauthnSchema = z
  .strictObject({
    kind: z.literal('webauthn'),
    credentialId: base64url.max(1364),
    /** COSE_Key as the authenticator gave it, base64url. */
    publicKey: base64url.pipe(readable((text) => readCoseKey(Buffer.from(text, 'base64url')))),
    rpId,
    /** Where its owner may sign. */
    origins: z.array(origin).min(1).max(8),
    /** Its PIN or a fingerprint must have been given, not only a touch. */
    verify: z.literal(true).optional(),
  })
  .refine((one) => one.origins.every((each) => isOf(one.rpId, each)), {
    path: ['origins'],
    message: 'must be of the host rpId, or of one below it',
  });

const Pkcs11Schema = z.strictObject({
  kind: z.literal('pkcs11'),
  /**
   * SubjectPublicKeyInfo, base64 DER, of a key on a token. That it is there and nowhere else is what those who sign the
   * policy say of it; it may be the key of the operator's certificate.
   */
  spki: z.string().refine((text) => {
    try {
      return fromBase64(text).length > 0;
    } catch {
      return false;
    }
  }, 'must be base64'),
});

/** The keys by which an operator signs statements, besides that of their certificate. REQ-KEY-SOD-02 */
export const OperatorSignersSchema = z
  .array(z.discriminatedUnion('kind', [SshSchema, WebauthnSchema, Pkcs11Schema]))
  .min(1)
  .max(MOST_SIGNERS);
export type OperatorSigner = z.infer<typeof OperatorSignersSchema>[number];

/** WebAuthn level 2 section 5.1.3: the id of a relying party is the host of its origins, or a domain above it. */
function isOf(id: string, from: string): boolean {
  const host = from.replace(/^https?:\/\//, '').replace(/:\d+$/, '');
  return host === id || host.endsWith(`.${id}`);
}
