import { type DerSpki, fromBase64, toBase64 } from '../../bytes/index.ts';
import { parseSshPublicKey, readCoseKey } from '../../crypto/index.ts';
import type { OperatorSigner } from './schema.ts';

/** What of an operator has keys: their certificate's, and others. */
export interface KeyHolder {
  readonly name: string;
  /** base64 DER. */
  readonly spki: string;
  readonly signers?: readonly OperatorSigner[] | undefined;
}

/** The public key of a signer, whatever wraps it: an SSH key and a certificate's key can be one. */
export function spkiOfSigner(signer: OperatorSigner): DerSpki {
  switch (signer.kind) {
    case 'ssh':
      return parseSshPublicKey(signer.key).spki;
    case 'webauthn':
      return readCoseKey(Buffer.from(signer.publicKey, 'base64url')).spki;
    case 'pkcs11':
      return fromBase64(signer.spki) as DerSpki;
  }
}

/**
 * Whether the policy takes the private half to be in hardware: on a token, in a security key, or with an authenticator.
 * An assertion that says of its credential that it may be copied tells otherwise in the end.
 */
export function isHeldInHardware(signer: OperatorSigner): boolean {
  return signer.kind !== 'ssh' || parseSshPublicKey(signer.key).application !== null;
}

/** A key in one spelling: what two statements by one key are known by. */
export const keyName = (spki: DerSpki): string => toBase64(spki);

/** Every key of an operator in one spelling, each once, and whether it is held in hardware. */
export function keysOf({ spki, signers = [] }: KeyHolder): ReadonlyMap<string, boolean> {
  const keys = new Map([[keyName(fromBase64(spki) as DerSpki), false]]);
  for (const signer of signers) {
    const name = keyName(spkiOfSigner(signer));
    keys.set(name, isHeldInHardware(signer) || keys.get(name) === true);
  }
  return keys;
}

/** Whether an operator has a key that is held in hardware. */
export const hasHardwareKey = (holder: KeyHolder): boolean => [...keysOf(holder).values()].includes(true);
