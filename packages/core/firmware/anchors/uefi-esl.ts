import { type DerCertificate, toHex } from '../../bytes/index.ts';
import { sha256 } from '../../crypto/index.ts';
import { type AnchorSet, anchorsFor } from './anchor-set.ts';

/**
 * EFI_SIGNATURE_LIST (UEFI specification, section 32.4.1): what the variables PK, KEK, db and dbx hold. Little-endian; a
 * GUID has its first three fields little-endian too.
 */

/** EFI_CERT_X509_GUID: a certificate, DER. */
const X509 = 'a5c059a1-94e4-4aa7-87b5-ab155c2bf072';
/** EFI_CERT_SHA256_GUID: the Authenticode digest of an image. */
const SHA256 = 'c1c41626-504c-4092-aca9-41f936934328';

const GUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
const GUID_OCTETS = 16;
const LIST_HEADER_OCTETS = 28;
const SHA256_OCTETS = 32;

/**
 * The certificates whose signatures firmware shall believe (db), or no more (dbx): a list for each, since all entries of
 * a list have one size.
 * @param owner the GUID of whoever puts them there, as text.
 * @throws RangeError for an owner that is no GUID.
 */
export const uefiCertificateLists = (certificates: readonly DerCertificate[], owner: string): Uint8Array =>
  Buffer.concat(certificates.map((der) => list(X509, owner, [der])));

/**
 * The images that firmware shall believe whoever signed them, or no more, by their Authenticode digests, SHA-256: one list.
 * @throws RangeError for an owner that is no GUID, no digest at all, or one of another length.
 */
export function uefiDigestList(digests: readonly Uint8Array[], owner: string): Uint8Array {
  const wrong = digests.find(({ length }) => length !== SHA256_OCTETS);
  if (wrong !== undefined || digests.length === 0)
    throw new RangeError('a list has digests of 32 octets, one at least');
  return list(SHA256, owner, digests);
}

/**
 * The list for `db` with the certificate of each key of a set that signs Authenticode. It has no room for a word about a
 * key: which one signs stands in its certificate. Who put them there is told by a GUID of the product and its environment.
 * @throws KeysteadError `firmware.anchor-missing`.
 */
export const uefiAnchors = (set: AnchorSet): Uint8Array =>
  uefiCertificateLists(
    anchorsFor(set, 'authenticode').map(({ certificate }) => certificate),
    ownerOf(set),
  );

/** A UUID of version 8 (RFC 9562 section 5.8): the same for the same product and environment. */
export function ownerOf({ product, environment }: Pick<AnchorSet, 'product' | 'environment'>): string {
  const digest = sha256(Buffer.from(`keystead firmware anchors\n${product}\n${environment}`, 'utf8')).slice(0, 16);
  digest[6] = ((digest[6] ?? 0) & 0x0f) | 0x80;
  digest[8] = ((digest[8] ?? 0) & 0x3f) | 0x80;
  return toHex(digest).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

/** One list; its entries are of one size. */
function list(type: string, owner: string, entries: readonly Uint8Array[]): Uint8Array {
  const size = GUID_OCTETS + (entries[0]?.length ?? 0);
  const header = Buffer.alloc(LIST_HEADER_OCTETS);
  header.set(guid(type), 0);
  header.writeUInt32LE(LIST_HEADER_OCTETS + entries.length * size, 16);
  // No header of the type's own.
  header.writeUInt32LE(0, 20);
  header.writeUInt32LE(size, 24);
  return Buffer.concat([header, ...entries.flatMap((entry) => [guid(owner), entry])]);
}

/** EFI_GUID. @throws RangeError */
function guid(text: string): Uint8Array {
  if (!GUID.test(text)) throw new RangeError(`${text} is no GUID`);
  const bytes = Buffer.from(text.replaceAll('-', ''), 'hex');
  bytes.subarray(0, 4).reverse();
  bytes.subarray(4, 6).reverse();
  bytes.subarray(6, 8).reverse();
  return bytes;
}
