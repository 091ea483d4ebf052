import type { DerCertificate, Serial, SpkiSha256 } from '@keystead/core/bytes';
import type { ListedIssuer, Role } from '@keystead/core/lifecycle';

interface Proven {
  /** What the client proved in the TLS handshake. */
  readonly certificate: DerCertificate;
  readonly issuer: ListedIssuer;
  readonly serial: Serial;
  readonly spkiSha256: SpkiSha256;
  /** The profile by which it was issued: an `idevid` may ask for a first certificate, an `ldevid` for its next. */
  readonly profile: string;
  readonly id: string;
}

export interface DeviceClient extends Proven {
  readonly kind: 'device';
}

export interface OperatorClient extends Proven {
  readonly kind: 'operator';
  /** The roles that the policy in force gives to this name; empty when the name has left it. */
  readonly roles: readonly Role[];
}

/** A station at a factory line, by the host name in its certificate. Who works there is another matter. */
export interface StationClient extends Proven {
  readonly kind: 'station';
}

/** Who calls, as its certificate and the records say. */
export type Client = DeviceClient | OperatorClient | StationClient;
