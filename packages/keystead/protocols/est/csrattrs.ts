import { isPostQuantum, type KeyAlgorithm } from '@keystead/core/crypto';
import {
  ATTRIBUTE_TYPES,
  context,
  EXTENDED_KEY_USAGES,
  EXTENSIONS,
  generalNamesDer,
  integer,
  KEY_OIDS,
  KEY_USAGES,
  namedBits,
  namesFor,
  nullValue,
  octetString,
  oid,
  type Profile,
  REQUEST_ATTRIBUTES,
  SIGNATURE_OIDS,
  sequence,
  setOf,
  signatureAlgorithmFor,
  utf8String,
} from '@keystead/core/x509';

/** RFC 9908 section 3.4: the request as a whole, with the values that the client fills in left out. */
const REQUEST_TEMPLATE = '1.2.840.113549.1.9.16.2.61';
const EXTENSION_TEMPLATE = '1.2.840.113549.1.9.16.2.62';

/** For whom the attributes are: known where the client has shown a certificate. */
export interface CsrAttributesFor {
  readonly profile: Profile;
  readonly deviceId?: string;
  /** Whether requests must be bound to their TLS connection (RFC 7030 section 3.5). */
  readonly channelBinding: boolean;
}

/**
 * What the CA would like to see in a request (RFC 7030 section 4.5.2, as RFC 9908 reads it): the kind of the key, the
 * signature, the extensions with their values, and the whole once more as a template for those who know it. A hint only:
 * what is accepted stands in the profile. DER of CsrAttrs.
 */
export function csrAttributes({ profile, deviceId, channelBinding }: CsrAttributesFor): Uint8Array {
  const [key = 'P-256'] = profile.keyAlgorithms;
  const known = extensionsOf(profile, deviceId);
  const extensions = known.flatMap(({ name, value }) => (value === undefined ? [] : [extension(name, value)]));
  return sequence(
    keyAttribute(key),
    oid(SIGNATURE_OIDS[signatureAlgorithmFor(key)]),
    attribute(REQUEST_ATTRIBUTES.extensionRequest, sequence(...extensions)),
    ...(channelBinding ? [oid(REQUEST_ATTRIBUTES.challengePassword)] : []),
    attribute(REQUEST_TEMPLATE, requestTemplate(profile, key, deviceId)),
  );
}

/** An extension, and its value where it is known; the client fills in the others. */
interface Wanted {
  readonly name: 'subjectAltName' | 'keyUsage' | 'extKeyUsage';
  readonly value: Uint8Array | undefined;
}

function extensionsOf(profile: Profile, deviceId: string | undefined): Wanted[] {
  const usages = profile.extKeyUsage.map((usage) => oid(EXTENDED_KEY_USAGES[usage]));
  const san = deviceId === undefined ? undefined : generalNamesDer(namesFor(profile, { deviceId }).san);
  return [
    { name: 'keyUsage', value: namedBits(profile.keyUsage.map((usage) => KEY_USAGES.indexOf(usage))) },
    ...(usages.length === 0 ? [] : [{ name: 'extKeyUsage', value: sequence(...usages) } as const]),
    ...(profile.san === 'none' ? [] : [{ name: 'subjectAltName', value: san } as const]),
  ];
}

/** CertificationRequestInfoTemplate: version, subject, [0] the kind of the key, [1] the attributes. */
function requestTemplate(profile: Profile, key: KeyAlgorithm, deviceId: string | undefined): Uint8Array {
  const extensions = extensionsOf(profile, deviceId).map(({ name, value }) => extension(name, value));
  return sequence(
    integer(0),
    subjectTemplate(profile, deviceId),
    context(0, keyIdentifier(key)),
    context(1, attribute(EXTENSION_TEMPLATE, sequence(...extensions))),
  );
}

/** Each part of the subject with the value that the certificate will have; without one, the client gives its own. */
function subjectTemplate({ subject }: Profile, deviceId: string | undefined): Uint8Array {
  const rdn = (type: keyof typeof ATTRIBUTE_TYPES, value: string | undefined): Uint8Array =>
    setOf(sequence(oid(ATTRIBUTE_TYPES[type]), ...(value === undefined ? [] : [utf8String(value)])));
  return sequence(
    ...(subject.organization === undefined ? [] : [rdn('O', subject.organization)]),
    rdn('CN', deviceId),
    ...(subject.serialNumber === undefined ? [] : [rdn('serialNumber', deviceId)]),
  );
}

const attribute = (type: string, ...values: Uint8Array[]): Uint8Array => sequence(oid(type), setOf(...values));

const extension = (name: Wanted['name'], value: Uint8Array | undefined): Uint8Array =>
  sequence(oid(EXTENSIONS[name]), ...(value === undefined ? [] : [octetString(value)]));

/** RFC 9908 section 3.3: an EC key by its curve, an RSA key by its bits, Ed25519 by its name alone. */
function keyAttribute(key: KeyAlgorithm): Uint8Array {
  if (key === 'Ed25519' || isPostQuantum(key)) return oid(KEY_OIDS[key]);
  if (key.startsWith('RSA')) return attribute(KEY_OIDS.rsaEncryption, integer(Number(key.slice(4))));
  return attribute(KEY_OIDS.ecPublicKey, oid(curveOf(key)));
}

/** AlgorithmIdentifier of a SubjectPublicKeyInfoTemplate. */
function keyIdentifier(key: KeyAlgorithm): Uint8Array {
  if (key === 'Ed25519' || isPostQuantum(key)) return sequence(oid(KEY_OIDS[key]));
  if (key.startsWith('RSA')) return sequence(oid(KEY_OIDS.rsaEncryption), nullValue());
  return sequence(oid(KEY_OIDS.ecPublicKey), oid(curveOf(key)));
}

const curveOf = (key: KeyAlgorithm): string => (key === 'P-384' ? KEY_OIDS.secp384r1 : KEY_OIDS.prime256v1);
