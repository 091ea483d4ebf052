import { readFileSync, writeFileSync } from 'node:fs';
import { canonicalJson, toBase64 } from '@keystead/core/bytes';
import { generateSoftwareKey, softwareSigner } from '@keystead/core/crypto';
import { certificationRequest } from '@keystead/core/x509';
import type { SignedBackup } from '../index.ts';
import type { BackupBed } from './bed.ts';

/** The backup with a manifest that a TLS server's key has signed, as a taken-over front end could make it. */
export async function forgedBy(bed: BackupBed, backup: SignedBackup, path: string): Promise<string> {
  const { pkcs8 } = generateSoftwareKey('P-256');
  const signer = softwareSigner('P-256', pkcs8);
  const { certificate } = await bed.rooms.authority.serverCertificate({
    hosts: ['localhost'],
    csr: await certificationRequest('localhost', signer),
    requestId: 'forged',
    actor: { kind: 'system', id: 'serve' },
  });
  const manifest = { ...backup.manifest, signer: { ...backup.manifest.signer, certificate: toBase64(certificate) } };
  const text = Buffer.from(canonicalJson(manifest));
  const signature = await signer.sign(text);
  const whole = readFileSync(backup.path);
  const content = whole.subarray(0, whole.length - 36 - backup.signature.length - backup.manifestBytes.length);
  const lengths = `${String(text.length).padStart(10, '0')} ${String(signature.length).padStart(4, '0')}`;
  writeFileSync(path, Buffer.concat([content, text, signature, Buffer.from(`keystead-backup-end ${lengths}\n`)]));
  return path;
}
