import { type DerCertificate, toHex } from '@keystead/core/bytes';
import { sha256, verifySignature } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import type { CheckpointKeys } from '@keystead/core/log';
import { checkPath, readCertificate } from '@keystead/core/x509';
import { parse } from 'yaml';
import { z } from 'zod';
import { verifyProof } from '../audit/index.ts';

const RecordSchema = z.object({
  device_id: z.string(),
  keys: z.object({ identity_cert: z.string(), bootstrap_ca: z.string() }),
  date: z.iso.datetime(),
  operator: z.string(),
  line: z.string(),
  /** Records of before attestation (version 1) have none. */
  key: z.object({ origin: z.enum(['proof-of-possession', 'tpm2-attested', 'secure-element', 'injected']) }).optional(),
});

/** What an auditor holds: nothing of it has to come from a running Keystead. */
export interface RecordEvidence {
  /** The record, YAML, exactly the bytes that were signed. */
  readonly record: Uint8Array;
  /** DER ECDSA signature over them. */
  readonly signature: Uint8Array;
  /** The proof that the log has its entry, after JSON.parse. */
  readonly proof: unknown;
  readonly evidenceSigner: DerCertificate;
  /** CA certificates between the signer and the anchor. */
  readonly intermediates: readonly DerCertificate[];
  /** The anchor that the auditor trusts. */
  readonly anchor: DerCertificate;
  /** The public keys of the log that the auditor trusts. */
  readonly logKeys: CheckpointKeys;
}

export interface VerifiedRecord {
  readonly deviceId: string;
  readonly date: string;
  readonly operator: string;
  readonly line: string;
  /** How keyd knew where the device's key is: that it signed its request is always known. */
  readonly keyOrigin: 'proof-of-possession' | 'tpm2-attested' | 'secure-element' | 'injected';
  /** The entry of the log that names this record by its SHA-256. */
  readonly entry: { readonly seq: number; readonly time: string; readonly id: string };
}

/**
 * Verifies a provisioning record offline: the signer leads to the anchor, the signature is over these bytes, and the
 * log has an entry that names them. REQ-KEY-PROV-02
 * @throws KeysteadError `record.unproven` naming what does not hold; `log.proof-invalid`, `note.*`
 */
export function verifyRecord(evidence: RecordEvidence): VerifiedRecord {
  const { record: bytes, signature, proof, evidenceSigner, intermediates, anchor, logKeys } = evidence;
  const { spki } = readCertificate(evidenceSigner);
  if (!verifySignature('ecdsa-with-SHA256', spki, bytes, signature)) throw unproven('signature', 'it does not verify');
  const parsed = RecordSchema.safeParse(parse(Buffer.from(bytes).toString('utf8')));
  if (!parsed.success)
    throw unproven(parsed.error.issues[0]?.path.join('.') || 'record', parsed.error.issues[0]?.message ?? '');
  const { device_id: deviceId, date, operator, line, key } = parsed.data;
  const path = checkPath(evidenceSigner, [...intermediates], [anchor], { now: new Date(date) });
  if (!path.ok) throw unproven('signer', `${path.rule}: ${path.detail}`);
  const { entry } = verifyProof(proof, logKeys);
  if (entry.type !== 'device.provisioned' || entry.subject.device !== deviceId) {
    throw unproven('proof', `an entry of type ${entry.type}`);
  }
  if (entry.detail?.recordSha256 !== toHex(sha256(bytes)))
    throw unproven('proof', 'an entry that names another record');
  const keyOrigin = key?.origin ?? 'proof-of-possession';
  return { deviceId, date, operator, line, keyOrigin, entry: { seq: entry.seq, time: entry.time, id: entry.id } };
}

const unproven = (field: string, seen: string): KeysteadError => new KeysteadError('record.unproven', { field, seen });
