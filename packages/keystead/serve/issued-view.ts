import { toPem } from '@keystead/core/bytes';
import { caOf, type IssuerId } from '@keystead/core/lifecycle';
import type { Issued } from '../authority/index.ts';
import type { IssuedView } from '../protocols/rest/domain.ts';
import type { ServedHierarchy } from './served-hierarchy.ts';

/** A certificate as it is given out, with what leads from it to the root. */
export const issuedView = (issued: Omit<Issued, 'repeated'>, hierarchy: ServedHierarchy): IssuedView => ({
  certificate: toPem('CERTIFICATE', issued.certificate),
  chain: chainPem(hierarchy, issued.issuer),
  serial: issued.serial,
  notAfter: issued.notAfter.toISOString(),
});

/** What leads from an issued certificate to the root in use, and for those who know an old root only to that one. */
function chainPem(hierarchy: ServedHierarchy, issuer: IssuerId): string {
  const { issuers, newWithOld, certificates } = hierarchy;
  const ca = issuers.filter(({ id }) => id === issuer).map(({ certificate }) => certificate);
  return [...ca, ...hierarchy.above(caOf(issuer)), ...newWithOld, certificates.root]
    .map((der) => toPem('CERTIFICATE', der))
    .join('');
}
