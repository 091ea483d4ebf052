import {
  checkPublicKey,
  checkRequest,
  type Named,
  type ParsedCsr,
  type Profile,
  parseCsr,
  verifyProofOfPossession,
} from '@keystead/core/x509';

/**
 * Reads a certification request and checks it against a profile and the identity that the certificate is for: form,
 * strength of the key, subject and extensions, and last, for it costs the most, the proof of possession. What the
 * request asks for only ever agrees or is refused; the certificate is made from the profile. REQ-KEY-STO-03
 * @throws KeysteadError `csr.*`, `key.*`.
 */
export function acceptRequest(der: Uint8Array, profile: Profile, named: Named): ParsedCsr {
  const csr = parseCsr(der);
  checkPublicKey(csr.spki, profile.keyAlgorithms);
  checkRequest(csr, profile, named);
  verifyProofOfPossession(csr);
  return csr;
}
