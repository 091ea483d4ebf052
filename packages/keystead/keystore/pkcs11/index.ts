import type { Clock } from '@keystead/core/clock';
import type { SecretBytes } from '@keystead/core/crypto';
import { type Pkcs11Configuration, Pkcs11Keystore } from '@keystead/pkcs11';
import type { AgreementKeystore, DerivingKeystore, WrappingKeystore } from '../keystore.ts';

/**
 * Opens a PKCS#11 token: logs in once, tests its random source, reads every key of Keystead with its attributes. What
 * else lies on the token is left alone and not seen. Afterwards the token may go away and come back: what is asked for
 * meanwhile is refused with `keystore.token-absent`, and no restart is needed. REQ-KEY-STO-01, REQ-KEY-GEN-01
 * @param pin the user PIN; stays with the caller. A copy is kept for connecting again, and wiped at `close`.
 * @throws KeysteadError `keystore.pkcs11-unavailable`, `keystore.module-*`, `keystore.token-*`, `keystore.pin-*`,
 *   `keystore.key-exposed`, `keystore.damaged`, `rng.unhealthy`.
 */
export function openPkcs11Keystore(
  config: Pkcs11Configuration,
  pin: SecretBytes,
  clock: Clock,
): Promise<AgreementKeystore & WrappingKeystore & DerivingKeystore> {
  return Pkcs11Keystore.open(config, pin, clock);
}
