import type { DerCsr, DerSpki } from '@keystead/core/bytes';
import { generateWithSigner, type SecretBytes, type Signer, spkiSha256 } from '@keystead/core/crypto';
import {
  assembleSigned,
  context,
  contextPrimitive,
  deviceUrn,
  integer,
  nameDer,
  octetString,
  oid,
  sequence,
  setOf,
} from '@keystead/core/x509';
import type { DeviceKeyAlgorithm } from '../state/manifest.ts';

const EXTENSION_REQUEST = '1.2.840.113549.1.9.14'; // RFC 2985 section 5.4.2
const SUBJECT_ALT_NAME = '2.5.29.17'; // RFC 5280 section 4.2.1.6

/** A fresh key of the device with the request for its certificate. */
export interface KeyAndCsr {
  /** The private key, PKCS#8 DER; whoever gets it seals or wipes it. */
  readonly pkcs8: SecretBytes;
  readonly spki: DerSpki;
  /** SHA-256 of `spki`, hex. */
  readonly keyId: string;
  /** PKCS#10 (RFC 2986), DER. */
  readonly csr: DerCsr;
}

/**
 * Makes a key and a request for `deviceId`: subject CN and serialNumber are the device id (IEEE 802.1AR
 * section 8.6), the subject alternative name asked for is `urn:keystead:device:<id>`, the proof of possession
 * is the request's own signature.
 *
 * REQ-KEY-GEN-03: only the public half and the proof are in what leaves the device.
 */
export async function makeKeyAndCsr(deviceId: string, algorithm: DeviceKeyAlgorithm): Promise<KeyAndCsr> {
  const { pkcs8, spki, signer } = generateWithSigner(algorithm);
  const csr = await deviceCsr(deviceId, signer);
  return { pkcs8, spki, keyId: spkiSha256(spki), csr };
}

/** The request alone, signed by a key that stays where it is (a TPM, a secure element). */
export async function deviceCsr(deviceId: string, signer: Signer): Promise<DerCsr> {
  const urn = contextPrimitive(6, Buffer.from(deviceUrn(deviceId), 'latin1'));
  const subjectAltName = sequence(oid(SUBJECT_ALT_NAME), octetString(sequence(urn)));
  const attribute = sequence(oid(EXTENSION_REQUEST), setOf(sequence(subjectAltName)));
  const subject = nameDer({
    rdns: [
      { type: 'CN', value: deviceId },
      { type: 'serialNumber', value: deviceId },
    ],
  });
  const info = sequence(integer(0), subject, signer.spki, context(0, attribute));
  return assembleSigned(info, signer.signatureAlgorithm, await signer.sign(info)) as DerCsr;
}
