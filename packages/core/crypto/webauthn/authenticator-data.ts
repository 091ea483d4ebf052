import { firstItem, malformed, requireBounded } from './cbor.ts';
import { type CoseKey, coseKeyOf } from './cose-key.ts';

/** Octets of each part (WebAuthn level 2 section 6.1), and the longest credential id (section 5.1.3, as CTAP bounds it). */
const HASH = 32;
const HEAD = HASH + 1 + 4;
const AAGUID = 16;
export const MOST_CREDENTIAL_ID = 1023;

/** Flags (WebAuthn level 3 section 6.1). */
const FLAG = { UP: 0x01, UV: 0x04, BE: 0x08, BS: 0x10, AT: 0x40, ED: 0x80 } as const;

/** What an authenticator says in each of its answers. */
export interface AuthenticatorData {
  /** SHA-256 of the relying party's id. */
  readonly rpIdHash: Uint8Array;
  /** Somebody touched it. */
  readonly userPresent: boolean;
  /** It knows who: by PIN or by finger. */
  readonly userVerified: boolean;
  /** The credential may be copied to other devices, so that no one piece of hardware holds it. */
  readonly backupEligible: boolean;
  /** It has been copied. */
  readonly backedUp: boolean;
  readonly signCount: number;
  /** At a registration. */
  readonly attested?: {
    readonly aaguid: Uint8Array;
    readonly credentialId: Uint8Array;
    /** COSE_Key, CBOR. */
    readonly publicKey: Uint8Array;
    readonly key: CoseKey;
  };
}

/**
 * Reads authenticator data. Extensions are passed over when they are a CBOR map: Keystead asks for none.
 * @throws KeysteadError `webauthn.malformed`, and of the key what `readCoseKey` throws.
 */
export function readAuthenticatorData(bytes: Uint8Array): AuthenticatorData {
  const field = 'authenticatorData';
  requireBounded(bytes, field);
  if (bytes.length < HEAD) throw malformed(field, `${bytes.length} bytes of at least ${HEAD}`);
  const flags = bytes[HASH] ?? 0;
  const has = (flag: number): boolean => (flags & flag) !== 0;
  let rest = bytes.subarray(HEAD);
  let attested: AuthenticatorData['attested'];
  if (has(FLAG.AT)) [attested, rest] = readAttested(rest);
  if (has(FLAG.ED)) {
    const extensions = firstItem(rest, `${field}.extensions`);
    if (!(extensions.value instanceof Map)) throw malformed(`${field}.extensions`, 'no map');
    rest = extensions.rest;
  }
  if (rest.length > 0) throw malformed(field, `${rest.length} bytes behind its end`);
  // WebAuthn level 3 section 6.1.3: what may not be copied has not been.
  if (has(FLAG.BS) && !has(FLAG.BE)) throw malformed(`${field}.flags`, 'BS without BE');
  return {
    rpIdHash: bytes.subarray(0, HASH),
    userPresent: has(FLAG.UP),
    userVerified: has(FLAG.UV),
    backupEligible: has(FLAG.BE),
    backedUp: has(FLAG.BS),
    signCount: Buffer.from(bytes).readUInt32BE(HASH + 1),
    ...(attested === undefined ? {} : { attested }),
  };
}

function readAttested(bytes: Uint8Array): [AuthenticatorData['attested'], Uint8Array] {
  const field = 'authenticatorData.attestedCredentialData';
  if (bytes.length < AAGUID + 2) throw malformed(field, `${bytes.length} bytes`);
  const length = Buffer.from(bytes).readUInt16BE(AAGUID);
  const end = AAGUID + 2 + length;
  if (length === 0 || length > MOST_CREDENTIAL_ID || bytes.length < end) {
    throw malformed(`${field}.credentialId`, `a length of ${length}`);
  }
  const { value, item, rest } = firstItem(bytes.subarray(end), `${field}.publicKey`);
  const key = coseKeyOf(value, `${field}.publicKey`);
  const credentialId = bytes.subarray(AAGUID + 2, end);
  return [{ aaguid: bytes.subarray(0, AAGUID), credentialId, publicKey: item, key }, rest];
}
