import type { DerCertificate } from '../../bytes/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import { DerError, type DerNode, readDer, readTime } from '../der/strict.ts';
import { readGeneralName } from '../general-names.ts';
import { readText } from '../names.ts';
import { certificatesIn } from './body.ts';

/** One CRL that a client asks for, and what it has of it (RFC 9483 section 4.3.4). */
export interface WantedCrl {
  /** Name, DER, of the issuer; or where the CRL is fetched from. */
  readonly source: { readonly issuerDer: Uint8Array } | { readonly url: string };
  /** thisUpdate of the one that the client has. */
  readonly thisUpdate?: Date;
}

/** Reads a value of a general message. @throws KeysteadError `cmp.malformed` */
function reading<T>(value: Uint8Array | undefined, what: string, read: (node: DerNode) => T): T {
  try {
    if (value === undefined) throw new DerError(`${what} has no value`);
    return read(readDer(value));
  } catch (cause) {
    if (cause instanceof DerError)
      throw new KeysteadError('cmp.malformed', { field: what, seen: cause.message, cause });
    throw cause;
  }
}

/** The root that a client has, in id-it-rootCaCert. @throws KeysteadError `cmp.malformed` */
export const readRootCaCert = (value: Uint8Array | undefined): DerCertificate =>
  reading(value, 'rootCaCert', (node) => node.expect(0x30, 'rootCaCert').bytes as DerCertificate);

/** The certificates of id-it-caCerts. @throws KeysteadError `cmp.malformed` */
export const readCaCerts = (value: Uint8Array | undefined): DerCertificate[] =>
  reading(value, 'caCerts', (node) => certificatesIn(node, 'caCerts'));

/** The names of id-it-certProfile in a header. @throws KeysteadError `cmp.malformed` */
export const readCertProfile = (value: Uint8Array | undefined): string[] =>
  reading(value, 'certProfile', (node) =>
    node
      .expect(0x30, 'certProfile')
      .counted(1, 4, 'certProfile')
      .children.map((text) => readText(text.expect(0x0c, 'certProfile'), 'certProfile')),
  );

/** What is asked for in id-it-crlStatusList. @throws KeysteadError `cmp.malformed` */
export const readCrlStatusList = (value: Uint8Array | undefined): WantedCrl[] =>
  reading(value, 'crlStatusList', (node) =>
    node.expect(0x30, 'crlStatusList').counted(1, 8, 'crlStatusList').children.map(readWanted),
  );

function readWanted(node: DerNode): WantedCrl {
  node.expect(0x30, 'a CRLStatus').counted(1, 2, 'a CRLStatus');
  const [source, time] = node.children;
  const thisUpdate = time === undefined ? undefined : readTime(time, 'thisUpdate');
  // DistributionPointName is itself a choice, of which fullName [0] is read; GeneralNames is a SEQUENCE.
  const names =
    source?.tag === 0xa0
      ? source.counted(1, 1, 'dpn').child(0, 0xa0, 'dpn')
      : source?.expect(0xa1, 'issuer').counted(1, 1, 'issuer').child(0, 0x30, 'issuer');
  const name = names?.counted(1, 4, 'the source of a CRL').children[0];
  if (name === undefined) throw new DerError('a CRLStatus has no source');
  if (name.tag === 0xa4) return { source: { issuerDer: name.child(0, 0x30, 'the issuer').bytes }, thisUpdate };
  const text = readGeneralName(name, 'the source of a CRL');
  if (!text.startsWith('URI:')) throw new DerError('the source of a CRL is neither a name nor an address');
  return { source: { url: text.slice(4) }, thisUpdate };
}
