import type { Clock } from '@keystead/core/clock';
import type { SecretBytes } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import type { AgreementKeystore, WrappingKeystore } from '../keystore.ts';
import type { Pkcs11Configuration } from './configuration.ts';

export async function openPkcs11Keystore(
  _config: Pkcs11Configuration,
  _pin: SecretBytes,
  _clock: Clock,
): Promise<AgreementKeystore & WrappingKeystore> {
  throw new KeysteadError('keystore.pkcs11-unavailable', { field: 'keystore' });
}
