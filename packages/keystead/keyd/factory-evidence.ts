import { dirname, join } from 'node:path';
import { type DerCertificate, fromBase64, toPem } from '@keystead/core/bytes';
import { durableWrite } from '../files/durable.ts';
import type { Factories } from './factories.ts';

/** Beside the policy in `trust/`. */
export const factoryEvidencePath = (publishedPolicy: string): string =>
  join(dirname(publishedPolicy), 'factory-evidence.pem');

/** Every certificate with which the nodes of factories sign records, the oldest first; closed factories too. */
export const factoryEvidence = (factories: Factories): DerCertificate[] => {
  const all = factories.all().flatMap(({ acts }) => acts.map(({ certified }) => certified.evidence.certificate));
  return [...new Set(all)].map((certificate) => fromBase64(certificate) as DerCertificate);
};

/**
 * Publishes them: a record of a factory is verified here too, in exports and birth certificates, by those who cannot read
 * keyd's journal. Made again from the journal at each start; what verifies goes by the path of each to the root.
 * REQ-KEY-PROV-02
 */
export function publishFactoryEvidence(publishedPolicy: string, factories: Factories): void {
  const certificates = factoryEvidence(factories);
  if (certificates.length === 0) return;
  const pem = certificates.map((der) => toPem('CERTIFICATE', der)).join('');
  durableWrite(factoryEvidencePath(publishedPolicy), pem, 0o644);
}
