import { type DerCertificate, fromBase64, sameBytes, toHex } from '@keystead/core/bytes';
import { sha256, verifySignature } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { checkPath, readCertificate } from '@keystead/core/x509';
import { type Container, readContainer, verifyContent } from './container.ts';

/** What whoever verifies a backup trusts: nothing of it comes out of the backup. */
export interface BackupTrust {
  /** The root's certificate. */
  readonly root: DerCertificate;
  /** The evidence signer's certificate, where it is at hand: then the backup must be signed by this very one. */
  readonly evidenceSigner?: DerCertificate;
}

/** A backup whose manifest is signed by keyd. */
export interface SignedBackup extends Container {
  /** SHA-256 of the manifest, hex: what the audit log names it by. */
  readonly manifestSha256: string;
}

/**
 * Opens a backup file, or a slip, and verifies who signed its manifest. The content is not looked at.
 * @throws KeysteadError `backup.unreadable`, `backup.malformed`, `backup.damaged`, `backup.signature-invalid`,
 *   `backup.signing-key-forbidden`.
 */
export async function openBackup(path: string, trust: BackupTrust): Promise<SignedBackup> {
  const container = await readContainer(path);
  verifySigner(container, trust);
  return { ...container, manifestSha256: toHex(sha256(container.manifestBytes)) };
}

/**
 * Verifies a whole backup without decrypting anything: the signature, and by it each byte. What it cannot say is
 * whether a share opens; each custodian can try their own (`keystead backup open-share --check`). REQ-KEY-BAK-02
 * @throws KeysteadError as {@link openBackup}; `backup.damaged` with the place.
 */
export async function verifyBackup(
  path: string,
  trust: BackupTrust,
  onProgress?: (bytes: number) => void,
): Promise<SignedBackup> {
  const backup = await openBackup(path, trust);
  await verifyContent(backup, onProgress);
  return backup;
}

function verifySigner({ manifest, manifestBytes, signature }: Container, trust: BackupTrust): void {
  const refused = (field: string, seen: string, cause?: unknown): KeysteadError =>
    new KeysteadError('backup.signature-invalid', { field, seen, cause });
  const certificate = fromBase64(manifest.signer.certificate) as DerCertificate;
  const issuer = fromBase64(manifest.signer.issuer) as DerCertificate;
  let info: ReturnType<typeof readCertificate>;
  try {
    info = readCertificate(certificate);
    const path = checkPath(certificate, [issuer], [trust.root], { now: new Date(manifest.createdAt) });
    if (!path.ok) throw refused('signer', `${path.rule}: ${path.detail}`);
  } catch (cause) {
    if (cause instanceof KeysteadError && cause.code === 'backup.signature-invalid') throw cause;
    throw refused('signer', 'no certificate', cause);
  }
  // The same CA certifies TLS servers, whose keys the front end holds. Those have a purpose; the evidence signer has none.
  if (info.ca || info.extKeyUsage.length > 0) throw refused('signer', 'a certificate for another purpose');
  if (trust.evidenceSigner !== undefined && !sameBytes(trust.evidenceSigner, certificate)) {
    throw refused('signer', 'another evidence signer than the one that is trusted');
  }
  if (!verifySignature('ecdsa-with-SHA256', info.spki, manifestBytes, signature)) {
    throw refused('signature', 'it does not verify');
  }
}
