import { toBase64 } from '@keystead/core/bytes';
import { certSha256, randomBytes } from '@keystead/core/crypto';
import {
  attributesOf,
  type Channel,
  certify,
  encodePublic,
  endorsementCertificates,
  type KeyPublic,
  type Loaded,
  type TpmInfo,
} from '@keystead/tpm2';

/** What a TPM says of a key that it has just made. */
export type TpmEvidence = Record<string, string | number | boolean>;

/**
 * The attributes as read back from the TPM, which TPM it is, and its own signed statement that it holds this key
 * (TPM2_Certify): with the attestation key's public area, the nonce and the statement an auditor verifies that
 * without the TPM (`verifyCertify`, `tpm2_checkquote`).
 * @param key with the public area that TPM2_ReadPublic gave. @throws KeysteadError `tpm2.*`.
 */
export async function tpmEvidence(
  channel: Channel,
  info: TpmInfo,
  key: Loaded<KeyPublic>,
  ak: Loaded<KeyPublic>,
): Promise<TpmEvidence> {
  const nonce = randomBytes(32);
  const statement = await certify(channel, key, ak, nonce);
  const [endorsement] = await endorsementCertificates(channel);
  return {
    ...attributesOf(key.area),
    tpmManufacturer: info.manufacturer,
    tpmModel: info.model,
    tpmFirmware: info.firmware,
    tpmRevision: info.revision,
    ekCertificateSha256: endorsement === undefined ? 'none' : certSha256(endorsement.certificate),
    certifyNonce: toBase64(nonce),
    certifyInfo: toBase64(statement.attest),
    certifySignature: toBase64(statement.signature),
    attestationKey: toBase64(encodePublic(ak.area)),
  };
}

/** The module by name. The TPM knows whether it runs in FIPS mode; what was validated, only its certificate says. */
export function fips140Of(info: TpmInfo): string {
  const name = `TPM 2.0 ${info.manufacturer} ${info.model} ${info.firmware}`;
  return info.fips1402 ? `${name}, in FIPS 140-2 mode by its own word` : `${name}, not in FIPS mode by its own word`;
}
