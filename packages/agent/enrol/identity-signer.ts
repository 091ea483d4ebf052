import { sameBytes } from '@keystead/core/bytes';
import { SecretBytes, type Signer, softwareSigner } from '@keystead/core/crypto';
import { readCertificate } from '@keystead/core/x509';
import type { DeviceIdentity } from '../state/index.ts';

/** Signs with an identity's key: where it is, when `held` is that key, or lent by the state. */
export function identitySigner(identity: DeviceIdentity, held?: Signer): Signer {
  const { spki, keyAlgorithm } = readCertificate(identity.certificate);
  if (held !== undefined && sameBytes(held.spki, spki)) return held;
  return identity.withKey((pkcs8) => {
    using key = SecretBytes.copy(pkcs8);
    return softwareSigner(keyAlgorithm ?? 'P-256', key);
  });
}
