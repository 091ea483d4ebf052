import type { Serial } from '@keystead/core/bytes';
import type { IssuerId } from '@keystead/core/lifecycle';
import { type CertificateInfo, readCertificate } from '@keystead/core/x509';
import type { FactoryNode } from './node.ts';

/** Who vouches for people when that is not this keyd. */
export interface OutsideIssuer {
  readonly id: IssuerId;
  readonly info: CertificateInfo;
  isRevoked(serial: Serial): boolean;
}

/** The operator CA of headquarters, with what the node has heard of its revocations. */
export const operatorsOf = ({ certificates, crls }: FactoryNode): OutsideIssuer => ({
  id: 'operator',
  info: readCertificate(certificates.above.operator),
  isRevoked: (serial) => crls.isRevoked('operator', serial),
});
