import { type DerCertificate, toHex } from '@keystead/core/bytes';
import { certSha256, sha256, verifySignature } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { type CheckpointKeys, openCheckpoint, type SignedCheckpoint } from '@keystead/core/log';
import { type CertificateInfo, checkPath, readCertificate } from '@keystead/core/x509';
import { parse } from 'yaml';
import { z } from 'zod';
import { verifyProof } from '../audit/index.ts';

/** The ways to a key that records name (docs/records.md). */
export const KEY_ORIGINS = ['tpm2-attested', 'secure-element', 'proof-of-possession', 'injected'] as const;
export type RecordedOrigin = (typeof KEY_ORIGINS)[number];

/** What every version of a record has, and what later ones have more. */
const RecordSchema = z.object({
  record: z.literal('keystead provisioning record'),
  record_version: z.int().min(1).max(3),
  device_id: z.string(),
  keys: z.object({ identity_cert: z.string(), bootstrap_ca: z.string() }),
  date: z.iso.datetime(),
  operator: z.string(),
  line: z.string(),
  ticket: z.string(),
  /** From version 3 on. */
  ticket_sha256: z.string().optional(),
  /** From version 2 on: before attestation there was nothing to tell. */
  key: z.object({ origin: z.enum(KEY_ORIGINS) }).optional(),
  signer_cert: z.string(),
});

/** A record is a few kilobytes. */
const MOST_RECORD_BYTES = 64 * 1024;

/** What an auditor trusts, and what helps to get there. Nothing of it has to come from a running Keystead. */
export interface RecordTrust {
  /** The anchors that the auditor trusts. */
  readonly anchors: readonly DerCertificate[];
  /** CA certificates between a signer and an anchor. */
  readonly intermediates: readonly DerCertificate[];
  /** Evidence signers, in any order: a house has a new one every few years. */
  readonly signers: readonly DerCertificate[];
  /** The public keys of the log that the auditor trusts. */
  readonly logKeys: CheckpointKeys;
}

/** One record and its evidence. */
export interface RecordEvidence {
  /** The record, YAML, exactly the bytes that were signed. */
  readonly record: Uint8Array;
  /** DER ECDSA signature over them. */
  readonly signature: Uint8Array;
  /** The proof that the log has its entry, after JSON.parse. */
  readonly proof: unknown;
}

export interface VerifiedRecord {
  readonly deviceId: string;
  readonly date: string;
  readonly operator: string;
  readonly line: string;
  readonly ticket: string;
  /** SHA-256 of the ticket's payload, hex; a record of before version 3 does not tell. */
  readonly ticketSha256?: string;
  /** How keyd knew where the device's key is: that it signed its request is always known. */
  readonly keyOrigin: RecordedOrigin;
  /** The entry of the log that names this record by its SHA-256. */
  readonly entry: { readonly seq: number; readonly time: string; readonly id: string };
}

/**
 * Verifies provisioning records offline, one or a hundred thousand: the signer leads to an anchor, the signature is over
 * these bytes, and the log has an entry that names them. What records have in common, the path of their signer and the
 * checkpoint of their proofs, is verified once. REQ-KEY-PROV-02, REQ-KEY-AUD-01
 */
export class RecordVerifier {
  readonly #trust: RecordTrust;
  readonly #signers: readonly CertificateInfo[];
  /** From when to when the path of a signer is known to hold, milliseconds, by the signer's fingerprint. */
  readonly #holds = new Map<string, readonly [from: number, to: number]>();
  #checkpoint: SignedCheckpoint | undefined;

  constructor(trust: RecordTrust) {
    this.#trust = trust;
    this.#signers = trust.signers.map(readCertificate);
  }

  /** @throws KeysteadError `record.unproven` naming what does not hold; `log.proof-invalid`, `log.entry-malformed`, `note.*`. */
  verify({ record: bytes, signature, proof }: RecordEvidence): VerifiedRecord {
    if (bytes.length > MOST_RECORD_BYTES) throw unproven('record', `${bytes.length} bytes`);
    const signer = this.#signers.find(({ spki }) => verifySignature('ecdsa-with-SHA256', spki, bytes, signature));
    if (signer === undefined) throw unproven('signature', 'it does not verify');
    requireEvidenceSigner(signer);
    const record = readRecord(bytes);
    if (record.signer_cert !== `sha256:${certSha256(signer.der)}`)
      throw unproven('signer_cert', `${record.signer_cert}, where another certificate has the key`);
    this.#requirePath(signer, new Date(record.date));
    const { entry } = verifyProof(proof, this.#trust.logKeys, (note, keys) => this.#open(note, keys));
    if (entry.type !== 'device.provisioned' || entry.subject.device !== record.device_id)
      throw unproven('proof', `an entry of type ${entry.type}`);
    if (entry.detail?.recordSha256 !== toHex(sha256(bytes)))
      throw unproven('proof', 'an entry that names another record');
    return {
      deviceId: record.device_id,
      date: record.date,
      operator: record.operator,
      line: record.line,
      ticket: record.ticket,
      ...(record.ticket_sha256 === undefined ? {} : { ticketSha256: record.ticket_sha256 }),
      keyOrigin: record.key?.origin ?? 'proof-of-possession',
      entry: { seq: entry.seq, time: entry.time, id: entry.id },
    };
  }

  /** A path depends on the time only by the lives of its certificates. */
  #requirePath(signer: CertificateInfo, at: Date): void {
    const id = certSha256(signer.der);
    const [from, to] = this.#holds.get(id) ?? [1, 0];
    if (from <= at.getTime() && at.getTime() <= to) return;
    const { intermediates, anchors } = this.#trust;
    const path = checkPath(signer.der, [...intermediates], [...anchors], { now: at });
    if (!path.ok) throw unproven('signer', `${path.rule}: ${path.detail}`);
    const lives = path.chain.map(({ notBefore, notAfter }) => [notBefore.getTime(), notAfter.getTime()] as const);
    this.#holds.set(id, [Math.max(...lives.map(([start]) => start)), Math.min(...lives.map(([, end]) => end))]);
  }

  #open(note: string, keys: CheckpointKeys): SignedCheckpoint {
    if (this.#checkpoint?.note !== note) this.#checkpoint = openCheckpoint(note, keys);
    return this.#checkpoint;
  }
}

/**
 * Devices, servers and people lead to the same root: what they sign is no record. Only who signs evidence has a
 * certificate for signatures and for nothing in particular, with no other name than its subject.
 */
function requireEvidenceSigner({ ca, keyUsage, extKeyUsage, san }: CertificateInfo): void {
  if (!ca && keyUsage.join() === 'digitalSignature' && extKeyUsage.length === 0 && san.length === 0) return;
  throw unproven('signer', 'a certificate that is not one of an evidence signer');
}

/** Only what the signature has shown to be keyd's is read as YAML. */
function readRecord(bytes: Uint8Array): z.output<typeof RecordSchema> {
  let document: unknown;
  try {
    document = parse(Buffer.from(bytes).toString('utf8'));
  } catch {
    throw unproven('record', 'no YAML');
  }
  const parsed = RecordSchema.safeParse(document);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw unproven(issue?.path.join('.') || 'record', issue?.message ?? '');
}

export const unproven = (field: string, seen: string): KeysteadError =>
  new KeysteadError('record.unproven', { field, seen });
