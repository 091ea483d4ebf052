import type { DerSpki, Serial } from '../../bytes/index.ts';
import { isPostQuantum, type KeyAlgorithm } from '../../crypto/index.ts';
import { signatureAlgorithmFor } from '../algorithms.ts';
import type { CertificateInfo } from '../certificate.ts';
import { readDer } from '../der/strict.ts';
import { bitString, integer, integerFromBytes, nullValue, oid, sequence } from '../der/writer.ts';
import { findExtension } from '../extensions.ts';
import { ipText } from '../ip-address.ts';
import { EXTENSIONS, KEY_OIDS } from '../oids.ts';
import { namesFor } from '../profile-names.ts';
import { POST_QUANTUM_KEY_OCTETS } from '../spki.ts';
import type { CertificateValues, Issuance } from '../values.ts';

/**
 * The values of a certificate that is never signed: with them a new template is linted in full. Its key is the base
 * point of its curve, or a number of the right size: nobody's.
 */
export function specimenOf({ profile, issuer }: Issuance): CertificateValues {
  const { seconds, backdateSeconds } = profile.validity;
  const algorithm =
    profile.keyAlgorithms.find((name) => !name.startsWith('RSA')) ?? profile.keyAlgorithms[0] ?? 'P-256';
  // Inside the issuer's validity; the template is not made at the time of any one certificate.
  const notBefore = issuer?.notBefore ?? new Date(Date.UTC(2026, 0, 1));
  const longest = seconds === 'none' ? 0 : (seconds + backdateSeconds) * 1000;
  const end = Math.min(notBefore.getTime() + longest, issuer?.notAfter.getTime() ?? Number.POSITIVE_INFINITY);
  const names = namesFor(profile, { deviceId: 'specimen', person: 'specimen', hosts: hostsUnder(issuer) });
  return {
    ...names,
    serial: '7f'.repeat(20) as Serial,
    notBefore,
    notAfter: seconds === 'none' ? 'none' : new Date(end),
    spki: specimenKey(algorithm),
    signatureAlgorithm: signatureAlgorithmFor(issuer?.keyAlgorithm ?? algorithm),
  };
}

/** Names of hosts that an issuer may give: where it is constrained to some, one of those. */
function hostsUnder(issuer: CertificateInfo | undefined): string[] {
  const constraints = issuer && findExtension(issuer.extensions, EXTENSIONS.nameConstraints);
  const permitted = constraints && readDer(constraints.value).children.find(({ tag }) => tag === 0xa0);
  for (const { children } of permitted?.children ?? []) {
    const [base] = children;
    if (base?.tag === 0x82) return [Buffer.from(base.value).toString('latin1')];
    if (base?.tag === 0x87) return [ipText(base.value.subarray(0, base.value.length / 2))];
  }
  return ['specimen', '192.0.2.1'];
}

/** Base points: SP 800-186 sections 3.2.1.3 and 3.2.1.4; RFC 8032 section 5.1. */
const BASE_POINTS = {
  'P-256':
    '046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c2964fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5',
  'P-384':
    '04aa87ca22be8b05378eb1c71ef320ad746e1d3b628ba79b9859f741e082542a385502f25dbf55296c3a545e3872760ab73617de4a96262c6f5d9e98bf9292dc29f8f41dbd289a147ce9da3113b5f0b8c00a60b1ce1d7e819d7a431d7c90ea0e5f',
  Ed25519: '5866666666666666666666666666666666666666666666666666666666666666',
} as const;

function specimenKey(algorithm: KeyAlgorithm): DerSpki {
  return specimenDer(algorithm) as DerSpki;
}

function specimenDer(algorithm: KeyAlgorithm): Uint8Array {
  if (algorithm === 'Ed25519')
    return sequence(sequence(oid(KEY_OIDS.Ed25519)), bitString(Buffer.from(BASE_POINTS.Ed25519, 'hex')));
  if (algorithm === 'P-256' || algorithm === 'P-384') {
    const curve = algorithm === 'P-256' ? KEY_OIDS.prime256v1 : KEY_OIDS.secp384r1;
    return sequence(
      sequence(oid(KEY_OIDS.ecPublicKey), oid(curve)),
      bitString(Buffer.from(BASE_POINTS[algorithm], 'hex')),
    );
  }
  if (isPostQuantum(algorithm)) {
    return sequence(sequence(oid(KEY_OIDS[algorithm])), bitString(new Uint8Array(POST_QUANTUM_KEY_OCTETS[algorithm])));
  }
  const modulus = new Uint8Array(Number(algorithm.slice(4)) / 8).fill(0xff);
  const key = sequence(integerFromBytes(modulus), integer(65_537));
  return sequence(sequence(oid(KEY_OIDS.rsaEncryption), nullValue()), bitString(key));
}
