import { z } from 'zod';
import { toBase64url } from '../../bytes/index.ts';

/**
 * What made a signature, where it was not the key of the signer's certificate: OpenSSH (`ssh-keygen -Y sign`), a passkey
 * in a browser, or a key of theirs on a token.
 */
export const SIGNATURE_KINDS = ['ssh', 'webauthn', 'pkcs11'] as const;
export type SignatureKind = (typeof SIGNATURE_KINDS)[number];

/** A signature of a statement, as it stands in an envelope. */
export interface Proof {
  /** Without it, the key of the signer's certificate. */
  readonly by?: SignatureKind;
  /**
   * Without `by`, and by `pkcs11`, as the key signs (ECDSA in DER); by `ssh` an SSHSIG blob (OpenSSH PROTOCOL.sshsig,
   * without its armour); by `webauthn` an assertion as `encodeAssertion` writes it.
   */
  readonly signature: Uint8Array;
}

/** The members of an envelope that hold a {@link Proof}. */
export const ProofShape = {
  by: z.enum(SIGNATURE_KINDS).optional(),
  /** base64url. With an RSA-4096 key an SSHSIG has 1.1 KiB and an assertion at most 2.7 KiB. */
  signature: z.string().max(4096),
};

/** The members of an envelope, from a proof. */
export const proofMembers = ({ by, signature }: Proof): { by?: SignatureKind; signature: string } => ({
  ...(by === undefined ? {} : { by }),
  signature: toBase64url(signature),
});

/** Who signs a statement: a `Signer` with the key of a certificate, or another key of the same person. */
export interface StatementSigner {
  readonly by?: SignatureKind;
  /**
   * The bytes of a statement that were written out earlier, to be signed elsewhere: `sign` has a signature of these and
   * of no others.
   */
  readonly earlier?: Uint8Array;
  /** @param data the kind's context and the payload. */
  sign(data: Uint8Array): Promise<Uint8Array>;
}

/** Signs the bytes of a statement. */
export const prove = async (signer: StatementSigner, data: Uint8Array): Promise<Proof> => ({
  ...(signer.by === undefined ? {} : { by: signer.by }),
  signature: await signer.sign(data),
});
