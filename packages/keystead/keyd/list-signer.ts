import { KeysteadError } from '@keystead/core/errors';
import { factoryOfIssuer, isIssuerId, type ListedIssuer } from '@keystead/core/lifecycle';
import type { EntryOctets } from '@keystead/core/x509';
import type { CertificateAuthority } from './certificate-authority.ts';
import type { KeydContext } from './context.ts';

/** Who signs the list of an issuer, and how it is read. */
export interface ListSigner {
  readonly authority: CertificateAuthority;
  /**
   * For the CA of a factory: its name, DER. Its key is at the factory, so headquarters signs its list as an indirect CRL
   * (RFC 5280 section 5.2.5), in which the first entry names it (section 5.3.3). docs/decisions/0034
   */
  readonly certificateIssuer?: Uint8Array;
}

/**
 * A key of keyd signs its own list; that of a factory is signed by the key that certified it.
 * @throws KeysteadError `issuer.unknown`.
 */
export function listSigner(keyd: KeydContext, issuer: ListedIssuer): ListSigner {
  if (isIssuerId(issuer)) return { authority: keyd.authority(issuer) };
  const factory = keyd.state.factories.ofIssuer(issuer);
  if (factory === undefined || factoryOfIssuer(issuer) !== factory.name) {
    throw new KeysteadError('issuer.unknown', { field: 'issuer', seen: issuer });
  }
  const authority = keyd.authority(factory.inForce.certified.manufacturing.issuer);
  return { authority, certificateIssuer: factory.manufacturing.subjectDer };
}

/** The entries with the name of their issuer at the first: it holds for those after it. */
export function namedEntries(entries: Iterable<EntryOctets>, certificateIssuer: Uint8Array): Iterable<EntryOctets> {
  return {
    *[Symbol.iterator]() {
      let first = true;
      for (const entry of entries) {
        yield first ? { ...entry, certificateIssuer } : entry;
        first = false;
      }
    },
  };
}
