import type { SecretBytes } from '@keystead/core/crypto';
import type { Pkcs11Configuration } from '@keystead/pkcs11';
import { pin, SoftHsmTokens } from '@keystead/pkcs11/tests/softhsm-tokens.ts';
import { systemClock } from '../../../clock/system.ts';
import type { AgreementKeystore, DerivingKeystore, WrappingKeystore } from '../../keystore.ts';
import { openPkcs11Keystore } from '../index.ts';

export { PIN, pin, SOFTHSM } from '@keystead/pkcs11/tests/softhsm-tokens.ts';

/** A SoftHSM of a test's own, and keystores on it. */
export class SoftHsm extends SoftHsmTokens {
  open(
    more: Partial<Record<keyof Pkcs11Configuration, unknown>> = {},
    secret: SecretBytes = pin(),
  ): Promise<AgreementKeystore & WrappingKeystore & DerivingKeystore> {
    return openPkcs11Keystore(this.config(more), secret, systemClock);
  }
}
