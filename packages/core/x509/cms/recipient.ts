import type { DerSpki } from '../../bytes/index.ts';
import {
  EphemeralKey,
  type KeyAlgorithm,
  type SecretBytes,
  type TransportScheme,
  transportKey,
  wrapKey,
  x963Kdf,
} from '../../crypto/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import type { CertificateInfo } from '../certificate.ts';
import { readDer } from '../der/strict.ts';
import { bitString, context, integer, nullValue, octetString, oid, sequence, tlv } from '../der/writer.ts';
import { keyIdentifier } from '../key-identifier.ts';
import { readSpki } from '../spki.ts';
import { AES256_WRAP, DIGESTS, ECDH_SCHEMES, KEY_TRANSPORT, MGF1 } from './oids.ts';
import { issuerAndSerial } from './signed-parts.ts';

/**
 * A public key that content is wrapped to without a certificate: an ephemeral key, or one that a chip holds. It is named
 * by its key identifier (RFC 5652 section 6.2.2, rKeyId; RFC 7093 section 2 method 1).
 */
export interface RecipientKey {
  /** SubjectPublicKeyInfo, DER, on P-256 or P-384. */
  readonly spki: DerSpki;
  readonly keyAlgorithm: 'P-256' | 'P-384';
}

/** Who reads: the owner of a certificate, or of a key. */
export type CmsRecipient = CertificateInfo | RecipientKey;

/** A RecipientInfo, and the version that EnvelopedData has with it (RFC 5652 section 6.1). */
export interface Recipient {
  readonly info: Uint8Array;
  readonly version: 0 | 2;
}

/**
 * Wraps a content key to the key of a certificate, or to a bare key: RSA by key transport (RFC 5652 section 6.2.1), P-256 and P-384 by an
 * ephemeral-static ECDH agreement (section 6.2.2, RFC 5753) with AES-256 key wrap (RFC 3565 section 2.3.2).
 * @param scheme for an RSA key. @param key stays with the caller.
 * @throws KeysteadError `cms.recipient-unfit` for a certificate whose key can do neither; `agreement.key-invalid`.
 */
export function recipientOf(recipient: CmsRecipient, key: SecretBytes, scheme: TransportScheme): Recipient {
  const { keyAlgorithm } = recipient;
  if (isRsa(keyAlgorithm) && isCertificate(recipient)) return { info: transported(recipient, key, scheme), version: 0 };
  if (keyAlgorithm === 'P-256' || keyAlgorithm === 'P-384')
    return { info: agreed(recipient, key, keyAlgorithm), version: 2 };
  throw new KeysteadError('cms.recipient-unfit', { field: 'recipient', seen: keyAlgorithm ?? 'another key' });
}

const isCertificate = (recipient: CmsRecipient): recipient is CertificateInfo => 'der' in recipient;

const isRsa = (algorithm: KeyAlgorithm | undefined): boolean => algorithm?.startsWith('RSA') ?? false;

const SHA256 = sequence(oid(DIGESTS.sha256), nullValue());
/** RSAES-OAEP-params (RFC 4055 section 4.1) for SHA-256 throughout. */
const OAEP_PARAMETERS = sequence(context(0, SHA256), context(1, sequence(oid(MGF1), SHA256)));

function transported(certificate: CertificateInfo, key: SecretBytes, scheme: TransportScheme): Uint8Array {
  const parameters = scheme === 'oaep-sha256' ? OAEP_PARAMETERS : nullValue();
  const algorithm = sequence(oid(KEY_TRANSPORT[scheme]), parameters);
  return sequence(
    integer(0),
    issuerAndSerial(certificate),
    algorithm,
    octetString(transportKey(scheme, certificate.spki, key)),
  );
}

/** RFC 3565 section 2.3.2: the wrap has no parameters, not even NULL. */
const WRAP = sequence(oid(AES256_WRAP));
const KEK_BYTES = 32;

function agreed(recipient: CmsRecipient, key: SecretBytes, group: 'P-256' | 'P-384'): Uint8Array {
  using ephemeral = EphemeralKey.generate(group);
  using z = ephemeral.agree(recipient.spki);
  using kek = x963Kdf(group === 'P-256' ? 'sha256' : 'sha384', z, SHARED_INFO, KEK_BYTES);
  const { keyBits, spki } = readSpki(ephemeral.spki);
  const curve = readDer(spki).child(0, 0x30, 'the algorithm').bytes;
  const wrapped = wrapKey('AES-KW', kek, key);
  return tlv(
    0xa1,
    integer(3),
    // originatorKey, an OriginatorPublicKey.
    context(0, context(1, curve, bitString(keyBits))),
    sequence(oid(ECDH_SCHEMES[group]), WRAP),
    sequence(sequence(identifierOf(recipient), octetString(wrapped))),
  );
}

/** KeyAgreeRecipientIdentifier: issuerAndSerialNumber, or rKeyId with a subjectKeyIdentifier alone. */
const identifierOf = (recipient: CmsRecipient): Uint8Array =>
  isCertificate(recipient)
    ? issuerAndSerial(recipient)
    : context(0, octetString(keyIdentifier(readSpki(recipient.spki).keyBits)));

/** ECC-CMS-SharedInfo (RFC 5753 section 7.2): for which wrap the key is, and how many bits it has. */
const SHARED_INFO = sequence(WRAP, context(2, octetString(Uint8Array.of(0, 0, 1, 0))));
