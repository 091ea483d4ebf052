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
import { readSpki } from '../spki.ts';
import { AES256_WRAP, DIGESTS, ECDH_SCHEMES, KEY_TRANSPORT, MGF1 } from './oids.ts';
import { issuerAndSerial } from './signed-data.ts';

/** A RecipientInfo, and the version that EnvelopedData has with it (RFC 5652 section 6.1). */
export interface Recipient {
  readonly info: Uint8Array;
  readonly version: 0 | 2;
}

/**
 * Wraps a content key to the key of a certificate: RSA by key transport (RFC 5652 section 6.2.1), P-256 and P-384 by an
 * ephemeral-static ECDH agreement (section 6.2.2, RFC 5753) with AES-256 key wrap (RFC 3565 section 2.3.2).
 * @param scheme for an RSA key. @param key stays with the caller.
 * @throws KeysteadError `cms.recipient-unfit` for a certificate whose key can do neither; `agreement.key-invalid`.
 */
export function recipientOf(certificate: CertificateInfo, key: SecretBytes, scheme: TransportScheme): Recipient {
  const { keyAlgorithm } = certificate;
  if (isRsa(keyAlgorithm)) return { info: transported(certificate, key, scheme), version: 0 };
  if (keyAlgorithm === 'P-256' || keyAlgorithm === 'P-384')
    return { info: agreed(certificate, key, keyAlgorithm), version: 2 };
  throw new KeysteadError('cms.recipient-unfit', { field: 'recipient', seen: keyAlgorithm ?? 'another key' });
}

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

function agreed(certificate: CertificateInfo, key: SecretBytes, group: 'P-256' | 'P-384'): Uint8Array {
  using ephemeral = EphemeralKey.generate(group);
  using z = ephemeral.agree(certificate.spki);
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
    sequence(sequence(issuerAndSerial(certificate), octetString(wrapped))),
  );
}

/** ECC-CMS-SharedInfo (RFC 5753 section 7.2): for which wrap the key is, and how many bits it has. */
const SHARED_INFO = sequence(WRAP, context(2, octetString(Uint8Array.of(0, 0, 1, 0))));
