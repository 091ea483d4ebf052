import { KeysteadError } from '@keystead/core/errors';
import type { Result } from '../keyd-client/index.ts';
import type { Device } from '../store/index.ts';

/** What of an order names its way. */
interface WayClaim {
  readonly attestation?: unknown;
  readonly way?: { readonly kind: 'secure-element' | 'injected' } | undefined;
}

/** The way that an order claims; undefined where it claims no more than that the device has its key. */
export function wayOf({ attestation, way }: WayClaim): Device['keyOrigin'] | undefined {
  return attestation === undefined ? way?.kind : 'tpm2-attested';
}

/**
 * What was signed of a device stays what it is: that its key came another way cannot be said of it afterwards.
 * @throws KeysteadError `device.already-provisioned`.
 */
export function requireSameWay({ deviceId, keyOrigin }: Device, way: Device['keyOrigin'] | undefined): void {
  if (way === undefined || way === keyOrigin) return;
  const seen = way === 'tpm2-attested' ? `${deviceId}, without attestation` : `${deviceId}, by ${keyOrigin}`;
  throw new KeysteadError('device.already-provisioned', { field: 'deviceId', seen });
}

/** How it is known where the key is, as the audit log tells it. */
export function keyDetail(key: Result<'provision'>['key']): Record<string, string> {
  switch (key.origin) {
    case 'proof-of-possession':
      return { keyOrigin: key.origin };
    case 'tpm2-attested': {
      const { origin, endorsedBy, ekSpkiSha256, ekCertificateSha256 } = key;
      const maker: Record<string, string> = ekCertificateSha256 === undefined ? {} : { ekCertificateSha256 };
      return { keyOrigin: origin, endorsedBy, ekSpkiSha256, ...maker };
    }
    case 'secure-element': {
      const { origin, form, chipSerial, chipIssuer, chipSpkiSha256 } = key;
      return { keyOrigin: origin, form, chipSerial, chipIssuer, chipSpkiSha256 };
    }
    case 'injected':
      return { keyOrigin: key.origin, wrappedTo: key.wrappedTo, packageSha256: key.packageSha256 };
  }
}
