import { createHash } from 'node:crypto';
import type { DerCertificate, Serial } from '../../bytes/index.ts';
import type { SignatureAlgorithm } from '../../crypto/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import type { CertificateInfo } from '../certificate.ts';
import { contentInfo } from '../cms/content-info.ts';
import type { CmsDigest } from '../cms/oids.ts';
import { signedAttributes, signedDataOf, signerInfo } from '../cms/signed-parts.ts';
import { signingCertificateV2 } from '../cms/signing-certificate.ts';
import {
  generalizedTime,
  integer,
  integerFromBytes,
  nullValue,
  octetString,
  oid,
  sequence,
  tlv,
} from '../der/writer.ts';
import { IMPRINT_HASHES, type ImprintHash, MOST_NONCE_OCTETS, TST_INFO } from './oids.ts';

/** What a token says. */
export interface TimestampFacts {
  /** Under which the TSA stamps, dotted. */
  readonly policy: string;
  readonly hash: ImprintHash;
  readonly imprint: Uint8Array;
  readonly serial: Serial;
  /** To the second. */
  readonly time: Date;
  /** How far `time` may be from UTC. */
  readonly accuracySeconds: number;
  /** The content octets of the INTEGER in the request. */
  readonly nonce?: Uint8Array;
}

/**
 * TSTInfo (RFC 3161 section 2.4.2), DER. `ordering` is FALSE, its default: two tokens of one second are in no order.
 * @throws KeysteadError `tsp.malformed` for an imprint that is not of the hash, or a nonce that is no INTEGER.
 */
export function tstInfo(facts: TimestampFacts): Uint8Array {
  const { policy, hash, imprint, serial, time, accuracySeconds, nonce } = facts;
  if (imprint.length !== IMPRINT_HASHES[hash].octets)
    throw new KeysteadError('tsp.malformed', { field: 'imprint', seen: `${imprint.length} octets for ${hash}` });
  if (nonce !== undefined) requireInteger(nonce);
  return sequence(
    integer(1),
    oid(policy),
    // With the NULL that most clients write: some compare the imprint with their own to the octet.
    sequence(sequence(oid(IMPRINT_HASHES[hash].oid), nullValue()), octetString(imprint)),
    integerFromBytes(Buffer.from(serial, 'hex')),
    generalizedTime(time),
    sequence(integer(accuracySeconds)),
    ...(nonce === undefined ? [] : [tlv(0x02, nonce)]),
  );
}

/** The content of an INTEGER has one form: no octet at its start that says nothing (X.690 section 8.3.2). */
function requireInteger(nonce: Uint8Array): void {
  const [first, second = 0] = nonce;
  const padded = nonce.length > 1 && (first === 0 || first === 0xff) && (((first ?? 0) ^ second) & 0x80) === 0;
  if (first !== undefined && nonce.length <= MOST_NONCE_OCTETS && !padded) return;
  throw new KeysteadError('tsp.malformed', { field: 'nonce', seen: `${nonce.length} octets that are no INTEGER` });
}

/** Who signs a token. */
export interface TimestampSigner {
  readonly certificate: CertificateInfo;
  readonly algorithm: SignatureAlgorithm;
  readonly digest: CmsDigest;
}

/** What is signed of a TSTInfo, DER: with the certificate of the TSA named (RFC 3161 section 2.4.2, RFC 5816). */
export const timestampAttributes = (info: Uint8Array, { certificate, digest }: TimestampSigner): Uint8Array =>
  signedAttributes(TST_INFO, createHash(digest).update(info).digest(), [signingCertificateV2(certificate)]);

/** The TimeStampToken: a ContentInfo with SignedData, DER. @param certificates none unless the request asked for them. */
export function timestampToken(
  info: Uint8Array,
  signer: TimestampSigner,
  signature: Uint8Array,
  certificates: readonly DerCertificate[],
): Uint8Array {
  const { certificate, digest, algorithm } = signer;
  const attributes = timestampAttributes(info, signer);
  return contentInfo(
    'signedData',
    signedDataOf({
      version: 3,
      digests: [digest],
      contentType: TST_INFO,
      content: octetString(info),
      certificates,
      signers: [signerInfo({ signer: certificate, digest, attributes, algorithm, signature })],
    }),
  );
}
