import { encode } from 'cborg';
import { sameBytes } from '../../bytes/index.ts';
import { sha256 } from '../hash.ts';
import { verifySignature } from '../signature.ts';
import { type AuthenticatorData, MOST_CREDENTIAL_ID, readAuthenticatorData } from './authenticator-data.ts';
import { malformed, onlyItem, refused } from './cbor.ts';
import { requireClientData } from './client-data.ts';
import { readCoseKey } from './cose-key.ts';

/** What an authenticator and the browser before it give for one challenge, byte for byte. */
export interface WebauthnAssertion {
  readonly credentialId: Uint8Array;
  readonly authenticatorData: Uint8Array;
  readonly clientDataJson: Uint8Array;
  /** ECDSA: DER; Ed25519: 64 bytes; RSA: PKCS#1 v1.5. */
  readonly signature: Uint8Array;
}

/** A credential as it was registered, and where it may be used. */
export interface WebauthnCredential {
  readonly credentialId: Uint8Array;
  /** COSE_Key, CBOR. */
  readonly publicKey: Uint8Array;
  /** The relying party's id: a host name. */
  readonly rpId: string;
  /** The origins at which its owner may sign, as browsers write them. */
  readonly origins: readonly string[];
  /** Whether the authenticator must know who touches it (PIN, finger). */
  readonly userVerification: boolean;
}

/** What a verified assertion tells beyond that it holds. */
export type WebauthnVerdict = Pick<AuthenticatorData, 'userVerified' | 'backupEligible' | 'backedUp' | 'signCount'>;

/** The longest RSA signature of a key that is accepted, octets. */
const MOST_SIGNATURE = 512;

/** An assertion as one byte string: a CBOR array of its four members in the order of the type. */
export const encodeAssertion = (assertion: WebauthnAssertion): Uint8Array =>
  encode([assertion.credentialId, assertion.authenticatorData, assertion.clientDataJson, assertion.signature]);

/** Reads what {@link encodeAssertion} wrote; it has one encoding only. @throws KeysteadError `webauthn.malformed`. */
export function decodeAssertion(bytes: Uint8Array): WebauthnAssertion {
  const parts = onlyItem(bytes, 'assertion');
  if (!Array.isArray(parts) || parts.length !== 4 || !parts.every((part) => part instanceof Uint8Array)) {
    throw malformed('assertion', 'no four byte strings');
  }
  const [credentialId, authenticatorData, clientDataJson, signature] = parts as readonly Uint8Array[];
  if (!credentialId || !authenticatorData || !clientDataJson || !signature) throw malformed('assertion', 'no parts');
  return { credentialId, authenticatorData, clientDataJson, signature };
}

/**
 * Verifies an assertion (WebAuthn level 2 section 7.2): this credential, for this challenge, asked for at one of its
 * origins by a page that is nobody's frame, with somebody present. Its challenge is what makes it worth nothing for
 * anything else; the sign count is given out and not judged here, for that takes a memory (keyd's).
 * @throws KeysteadError `webauthn.malformed`, `webauthn.credential-differs`, `webauthn.type-differs`,
 *   `webauthn.challenge-differs`, `webauthn.origin-foreign`, `webauthn.relying-party-foreign`, `webauthn.user-absent`,
 *   `webauthn.user-unverified`, `webauthn.signature-invalid`, and of the credential's key what `readCoseKey` throws.
 */
export function verifyWebauthnAssertion(
  credential: WebauthnCredential,
  challenge: Uint8Array,
  assertion: WebauthnAssertion,
): WebauthnVerdict {
  const { credentialId, authenticatorData, clientDataJson, signature } = assertion;
  if (credentialId.length > MOST_CREDENTIAL_ID || !sameBytes(credentialId, credential.credentialId)) {
    throw refused('webauthn.credential-differs', 'credentialId', 'another credential');
  }
  requireClientData(clientDataJson, { type: 'webauthn.get', challenge, origins: credential.origins });
  const said = readAuthenticatorData(authenticatorData);
  requirePresence(said, credential);
  if (said.attested !== undefined) throw malformed('authenticatorData', 'attested data in an assertion');
  if (signature.length > MOST_SIGNATURE) throw malformed('signature', `${signature.length} bytes`);
  const { spki, signatureAlgorithm } = readCoseKey(credential.publicKey);
  const signed = Buffer.concat([authenticatorData, sha256(clientDataJson)]);
  if (!verifySignature(signatureAlgorithm, spki, signed, signature)) {
    throw refused('webauthn.signature-invalid', 'signature', 'none by the key of the credential');
  }
  const { userVerified, backupEligible, backedUp, signCount } = said;
  return { userVerified, backupEligible, backedUp, signCount };
}

/** The relying party and the person: what registration and assertion have in common. */
export function requirePresence(
  said: AuthenticatorData,
  { rpId, userVerification }: Pick<WebauthnCredential, 'rpId' | 'userVerification'>,
): void {
  if (!sameBytes(said.rpIdHash, sha256(Buffer.from(rpId, 'utf8')))) {
    throw refused('webauthn.relying-party-foreign', 'authenticatorData.rpIdHash', `not the hash of ${rpId}`);
  }
  if (!said.userPresent) throw refused('webauthn.user-absent', 'authenticatorData.flags', 'UP is not set');
  if (userVerification && !said.userVerified) {
    throw refused('webauthn.user-unverified', 'authenticatorData.flags', 'UV is not set');
  }
}
