import type { DerCertificate } from '@keystead/core/bytes';
import type { Clock } from '@keystead/core/clock';
import { checkPath } from '@keystead/core/x509';
import type { Credential } from '../state/index.ts';
import type { CrlCache } from '../tls/index.ts';
import { peerStatus } from '../tls/peer-status.ts';

/**
 * Whether a CA above the device's own certificate has been revoked, by a CRL of those above it: then nobody takes that
 * certificate any more, through no fault of the device. What cannot be found out is no: a device whose own certificate is
 * refused must not enrol around that. The status of the device's own certificate is not asked for.
 * @param current the device's LDevID.
 */
export async function issuerRevoked(
  current: Credential,
  { anchors, clock, crls }: { anchors: readonly DerCertificate[]; clock: Clock; crls: CrlCache },
): Promise<boolean> {
  const { certificate, chain } = current;
  const path = checkPath(certificate, chain, [...anchors], { now: clock.now(), extKeyUsage: 'clientAuth' });
  if (!path.ok) return false;
  const failure = await peerStatus(path.chain.slice(1), [], chain, { clock, crls, cover: 'path' });
  return failure?.rule === 'revoked';
}
