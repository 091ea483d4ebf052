import { type DerCertificate, type DerSpki, type SpkiSha256, toBase64url } from '@keystead/core/bytes';
import { SIGNATURE_OF, type SignatureAlgorithm, sha256, spkiSha256, verifySignature } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { readCertificate } from '@keystead/core/x509';
import type { Access } from '../../access/index.ts';
import type { AttestationObject, IDEVID_FORMAT } from './attestation-object.ts';

type IdevidStatement = Extract<AttestationObject, { fmt: typeof IDEVID_FORMAT }>['attStmt'];

/** So that a signature for this is none for anything else that the IDevID's key signs. */
const CONTEXT = 'keystead idevid attestation v1\n';

/** IANA COSE Algorithms: the one signature of each kind of key. */
const COSE: Readonly<Record<number, readonly SignatureAlgorithm[]>> = {
  [-7]: ['ecdsa-with-SHA256'],
  [-35]: ['ecdsa-with-SHA384'],
  [-8]: ['Ed25519'],
  [-257]: ['sha256WithRSAEncryption'],
};

const refused = (field: string, seen: string): KeysteadError =>
  new KeysteadError('acme.attestation-refused', { field, seen });

/**
 * What the key of an IDevID signs: the challenge and account by the key authorization, and the one key that is to be
 * certified.
 * @param spki SubjectPublicKeyInfo, DER. @returns ASCII.
 */
export const idevidStatementBytes = (keyAuthorization: string, spki: Uint8Array): Uint8Array =>
  Buffer.from(`${CONTEXT}${keyAuthorization}\n${toBase64url(sha256(spki))}\n`, 'ascii');

/**
 * The device proves its IDevID's key. It says nothing of where the key to be certified lives, which a TPM's statement
 * does.
 * @returns the one key that may be certified.
 * @throws KeysteadError `acme.attestation-refused`; `client.certificate-*` for an IDevID that is not in force.
 */
export async function verifyIdevidStatement(
  statement: IdevidStatement,
  v: {
    readonly deviceId: string;
    readonly keyAuthorization: string;
    readonly requestId: string;
    readonly access: Access;
  },
): Promise<SpkiSha256> {
  const [idevid] = statement.x5c;
  const client = await v.access.identify(idevid, { requestId: v.requestId, what: 'device-attest-01' });
  if (client.kind !== 'device' || client.profile !== 'idevid') throw refused('x5c', 'a certificate that is no IDevID');
  if (client.id !== v.deviceId) throw refused('x5c', `the IDevID of ${client.id}, for ${v.deviceId}`);
  const { spki, keyAlgorithm } = readCertificate(idevid as DerCertificate);
  const algorithm = keyAlgorithm === undefined ? undefined : SIGNATURE_OF[keyAlgorithm];
  if (algorithm === undefined || COSE[statement.alg]?.includes(algorithm) !== true) {
    throw refused('alg', `${statement.alg}, for a key of ${keyAlgorithm ?? 'no known kind'}`);
  }
  const signed = idevidStatementBytes(v.keyAuthorization, statement.spki);
  if (!verifySignature(algorithm, spki, signed, statement.sig)) throw refused('sig', 'one that does not verify');
  return spkiSha256(statement.spki as DerSpki);
}
