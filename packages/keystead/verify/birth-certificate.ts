import { type DerCertificate, fromHex, fromPem, sameBytes, toPem } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import { issuerAndSerial, plainSigned, readCertificate, readPlainSigned, unsignedOf } from '@keystead/core/x509';
import type { InclusionProof } from '../audit/index.ts';
import { type RecordEvidence, unproven } from './record.ts';
import type { DocumentChain } from './trusted.ts';

/**
 * The unsigned attribute with the proof that the log has the record, JSON, as an OCTET STRING: its type is the UUID
 * 3bd30123-a55b-41c9-b788-af04964571a1 under 2.25 (X.667 section 8), which needs no registration. DER.
 */
const LOG_PROOF = fromHex('061369f7d380c8f4d5da8793b7c4abe0c9b295e321');

/** RFC 7468 section 9. */
const PEM_LABEL = 'CMS';

/**
 * The birth certificate of a device: its provisioning record in CMS, with the certificates that lead to the root and with
 * the proof of inclusion. It has no signature of its own but that which keyd put on the record: whoever has the record
 * can make it, and nobody needs a key for that (docs/decisions/0032-birth-certificates.md). REQ-KEY-PROV-02
 * @returns a ContentInfo, DER.
 */
export function birthCertificate(
  { record, signature }: { readonly record: string; readonly signature: Uint8Array },
  { evidenceSigner, intermediates }: Pick<DocumentChain, 'evidenceSigner' | 'intermediates'>,
  proof: InclusionProof,
): Uint8Array {
  return plainSigned({
    content: Buffer.from(record, 'utf8'),
    signature,
    signer: readCertificate(evidenceSigner),
    certificates: intermediates,
    unsigned: [{ type: LOG_PROOF, octets: Buffer.from(JSON.stringify(proof), 'utf8') }],
  });
}

export const birthCertificatePem = (der: Uint8Array): string => toPem(PEM_LABEL, der);

/** What a birth certificate holds: evidence for a `RecordVerifier`, whose anchors come from elsewhere. */
export interface ReadBirthCertificate extends RecordEvidence {
  readonly evidenceSigner: DerCertificate;
  readonly intermediates: readonly DerCertificate[];
}

/** Whether a file looks like one and not like a record: DER of a SEQUENCE, or PEM. */
export const isBirthCertificate = (file: Uint8Array): boolean =>
  file[0] === 0x30 || Buffer.from(file.subarray(0, 20)).toString('latin1').startsWith(`-----BEGIN ${PEM_LABEL}`);

/**
 * Reads one, DER or PEM. Nothing is verified.
 * @throws KeysteadError `cms.message-malformed`, `cms.algorithm`; `record.unproven` without a proof or a signer.
 */
export function readBirthCertificate(file: Uint8Array): ReadBirthCertificate {
  const message = readPlainSigned(derOf(file));
  const signer = message.certificates.find((der) => sameBytes(issuerAndSerial(readCertificate(der)), message.signer));
  if (signer === undefined) throw unproven('signer', 'its certificate is not enclosed');
  const proof = unsignedOf(message, LOG_PROOF);
  if (proof === undefined) throw unproven('proof', 'none is enclosed');
  return {
    record: message.content,
    signature: message.signature,
    proof: jsonOf(proof),
    evidenceSigner: signer,
    intermediates: message.certificates.filter((der) => der !== signer),
  };
}

function derOf(file: Uint8Array): Uint8Array {
  if (file[0] === 0x30) return file;
  let blocks: Uint8Array[];
  try {
    blocks = fromPem(PEM_LABEL, Buffer.from(file).toString('latin1'));
  } catch {
    blocks = [];
  }
  const [der] = blocks;
  if (der === undefined || blocks.length !== 1)
    throw new KeysteadError('cms.message-malformed', { field: 'PEM', seen: `${blocks.length} blocks` });
  return der;
}

function jsonOf(octets: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(octets).toString('utf8'));
  } catch {
    throw unproven('proof', 'no JSON');
  }
}
