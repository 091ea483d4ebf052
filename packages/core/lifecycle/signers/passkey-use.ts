import { toHex } from '../../bytes/index.ts';
import { decodeAssertion, readAuthenticatorData, sha256 } from '../../crypto/index.ts';
import type { OperatorDocument } from '../operator-document.ts';

/** How far an authenticator had counted when a statement was signed by a passkey. */
export interface PasskeyUse {
  readonly signer: string;
  /** SHA-256 of the credential's id, hex. */
  readonly credential: string;
  /** The signature counter (WebAuthn level 2 section 6.1.1); 0 of an authenticator that counts nothing. */
  readonly count: number;
  /** SHA-256 of what the statement says, hex: by this the same one is known again. */
  readonly statement: string;
  /** As the statement says. */
  readonly signedAt: string;
}

/** The uses of passkeys among statements whose signatures are verified. @throws KeysteadError `webauthn.malformed`. */
export function passkeyUses(
  documents: readonly OperatorDocument<{ readonly signedAt: string }>[],
): readonly PasskeyUse[] {
  return documents.flatMap(({ by, signature, signer, sha256: statement, content: { signedAt } }) => {
    if (by !== 'webauthn') return [];
    const { credentialId, authenticatorData } = decodeAssertion(signature);
    const { signCount } = readAuthenticatorData(authenticatorData);
    return [{ signer, credential: toHex(sha256(credentialId)), count: signCount, statement, signedAt }];
  });
}
