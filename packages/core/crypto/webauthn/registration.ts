import { sha256 } from '../hash.ts';
import { verifySignature } from '../signature.ts';
import { requirePresence, type WebauthnCredential } from './assertion.ts';
import { type AuthenticatorData, readAuthenticatorData } from './authenticator-data.ts';
import { malformed, onlyItem, refused } from './cbor.ts';
import { requireClientData } from './client-data.ts';
import type { CoseKey } from './cose-key.ts';

/** What `navigator.credentials.create` gave. */
export interface WebauthnRegistration {
  readonly clientDataJson: Uint8Array;
  /** CBOR. */
  readonly attestationObject: Uint8Array;
}

/** A credential that was made just now. */
export interface RegisteredCredential extends WebauthnCredential {
  readonly key: CoseKey;
  /** The make of the authenticator, as it says itself; sixteen zeros where it does not say. */
  readonly aaguid: Uint8Array;
  readonly backupEligible: boolean;
  readonly signCount: number;
}

/**
 * Reads and checks a registration (WebAuthn level 2 section 7.1) with attestation of the format `none`, or `packed` by the
 * credential's own key. Neither says which hardware holds the key: that is for the people who put the credential
 * into the policy to have seen.
 * @param expected `challenge`: the random one that was given out for this registration, once.
 * @throws KeysteadError as `verifyWebauthnAssertion`, and `webauthn.attestation-refused` for other attestations.
 */
export function readWebauthnRegistration(
  { clientDataJson, attestationObject }: WebauthnRegistration,
  expected: Pick<WebauthnCredential, 'rpId' | 'origins' | 'userVerification'> & { readonly challenge: Uint8Array },
): RegisteredCredential {
  const { rpId, origins, userVerification, challenge } = expected;
  requireClientData(clientDataJson, { type: 'webauthn.create', challenge, origins });
  const { fmt, statement, authData } = readObject(attestationObject);
  const said = readAuthenticatorData(authData);
  requirePresence(said, expected);
  const { attested, backupEligible, signCount } = said;
  if (attested === undefined) throw malformed('authenticatorData', 'no attested credential data');
  requireAttestation(fmt, statement, Buffer.concat([authData, sha256(clientDataJson)]), attested.key);
  const { credentialId, publicKey, key, aaguid } = attested;
  return {
    credentialId,
    publicKey,
    rpId,
    origins,
    userVerification,
    key,
    aaguid,
    backupEligible,
    signCount,
  };
}

function readObject(bytes: Uint8Array): {
  fmt: string;
  statement: ReadonlyMap<unknown, unknown>;
  authData: Uint8Array;
} {
  const field = 'attestationObject';
  const object = onlyItem(bytes, field);
  if (!(object instanceof Map) || object.size !== 3) throw malformed(field, 'no map of three members');
  const fmt: unknown = object.get('fmt');
  const statement: unknown = object.get('attStmt');
  const authData: unknown = object.get('authData');
  if (typeof fmt !== 'string' || !(statement instanceof Map) || !(authData instanceof Uint8Array)) {
    throw malformed(field, 'no fmt, attStmt or authData');
  }
  return { fmt, statement, authData };
}

/** WebAuthn level 2 sections 8.7 (none) and 8.2 (packed, self attestation). */
function requireAttestation(
  fmt: string,
  statement: ReadonlyMap<unknown, unknown>,
  signed: Uint8Array,
  { alg, spki, signatureAlgorithm }: NonNullable<AuthenticatorData['attested']>['key'],
): void {
  const field = 'attestationObject.attStmt';
  const refuse = (seen: string) => refused('webauthn.attestation-refused', field, seen);
  if (fmt === 'none') {
    if (statement.size > 0) throw refuse('a statement of the format none');
    return;
  }
  if (fmt !== 'packed') throw refuse(`the format ${JSON.stringify(fmt.slice(0, 32))}`);
  const sig = statement.get('sig');
  if (statement.has('x5c')) throw refuse('packed with certificates, whose roots nobody has named');
  if (statement.size !== 2 || !(sig instanceof Uint8Array) || statement.get('alg') !== alg) {
    throw refuse('packed without the algorithm of its key');
  }
  if (!verifySignature(signatureAlgorithm, spki, signed, sig)) throw refuse('a signature that does not verify');
}
