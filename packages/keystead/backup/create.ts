import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync } from 'node:fs';
import { fromBase64, toBase64, toHex } from '@keystead/core/bytes';
import { randomBytes, type SecretBytes, sha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import {
  type BackupMember,
  type BackupPolicy,
  MASTER_MEMBER,
  parseManifest,
  parsePolicy,
} from '@keystead/core/lifecycle';
import type { Layout } from '../files/layout.ts';
import { becomeSole, type SoleRight } from '../keyd/single.ts';
import type { BackupDraft } from '../protocols/rest/domain.ts';
import { encryptStream, newIdentity } from './age.ts';
import { ContainerWriter } from './container.ts';
import { mapDiskError } from './disk.ts';
import { masterMember } from './master.ts';
import { splitAmong } from './shares.ts';
import { type Source, takeSnapshot } from './snapshot.ts';
import { type BackupTrust, type SignedBackup, verifyBackup } from './verify.ts';

export interface CreateBackupOptions {
  readonly layout: Layout;
  /** The file to write; it must not be there. */
  readonly out: string;
  /** The passphrase of keyd's sealed keystore; it stays with the caller. Without it the backup holds none. */
  readonly master?: SecretBytes;
  readonly trust: BackupTrust;
  /** Has keyd sign the manifest, which the audit log then names. */
  readonly sign: (draft: BackupDraft) => Promise<{ readonly manifest: string; readonly signature: string }>;
  readonly onProgress?: (bytes: number, ofBytes: number) => void;
}

/**
 * Makes a backup: a consistent state, encrypted to a key that exists only as shares of the custodians, in a file that
 * is there whole and signed or not at all. Memory does not grow with it. REQ-KEY-BAK-02
 * @throws KeysteadError `backup.*`; what keyd or the network refuses. Nothing is left behind then.
 */
export async function createBackup(options: CreateBackupOptions): Promise<SignedBackup> {
  const { layout, out, trust } = options;
  const custodians = custodiansOf(layout);
  const right = await soleBackup(layout);
  const writer = await ContainerWriter.create(out).catch((error: unknown) => {
    right.release();
    throw error;
  });
  try {
    await write(options, custodians, writer);
  } catch (error) {
    await writer.abandon();
    throw mapDiskError(error, out);
  } finally {
    right.release();
  }
  // Read back from the file: what was written is what was signed.
  return verifyBackup(out, trust);
}

async function write(
  { layout, master, sign, onProgress }: CreateBackupOptions,
  custodians: BackupPolicy,
  writer: ContainerWriter,
): Promise<void> {
  const backupId = toHex(randomBytes(16));
  const { identity, recipient } = await newIdentity();
  using held = identity;
  const snapshot = await takeSnapshot(layout);
  try {
    using member = master === undefined ? undefined : masterMember(master);
    const sources = member === undefined ? snapshot.sources : [...snapshot.sources, masterSource(member)];
    const members: BackupMember[] = [];
    const content = ReadableStream.from(contentOf(sources, members, onProgress));
    for await (const bytes of await encryptStream(recipient, content)) await writer.write(bytes);
    const payload = { ...(await writer.endContent()), recipient };
    const shares = await splitAmong(held, backupId, custodians);
    const draft: BackupDraft = {
      backupId,
      checkpoint: snapshot.checkpoint,
      payload,
      members,
      shares: shares.map((one) => ({ ...one, share: toBase64(one.share) })),
    };
    const { manifest, signature } = await sign(draft);
    const bytes = Buffer.from(manifest, 'utf8');
    requireAnswer(bytes, draft, custodians);
    await writer.seal(bytes, fromBase64(signature));
  } finally {
    snapshot.release();
  }
}

/** The members one after the other; each is listed with its hash once it has gone by. */
async function* contentOf(
  sources: readonly Source[],
  members: BackupMember[],
  onProgress: CreateBackupOptions['onProgress'],
): AsyncGenerator<Uint8Array> {
  const total = sources.reduce((sum, { bytes }) => sum + bytes, 0);
  let done = 0;
  for (const source of sources) {
    const hash = createHash('sha256');
    let length = 0;
    for await (const bytes of source.open()) {
      hash.update(bytes);
      length += bytes.length;
      done += bytes.length;
      yield bytes;
      onProgress?.(done, total);
    }
    if (length !== source.bytes) {
      throw new KeysteadError('backup.state-inconsistent', {
        field: source.path,
        seen: `${length} bytes, where there were ${source.bytes}`,
      });
    }
    members.push({ path: source.path, bytes: length, sha256: hash.digest('hex') });
  }
}

const masterSource = (member: SecretBytes): Source => ({
  path: MASTER_MEMBER,
  bytes: member.length,
  async *open() {
    yield member.use((bytes) => Uint8Array.from(bytes));
  },
});

/** The front end carries the manifest: what came back must say what was asked. */
function requireAnswer(bytes: Uint8Array, draft: BackupDraft, { threshold, custodians }: BackupPolicy): void {
  const manifest = parseManifest(bytes);
  const told = (value: unknown): string => toHex(sha256(Buffer.from(JSON.stringify(value))));
  const shares = draft.shares.map(({ name, commitment, share }, at) => [
    name,
    custodians[at]?.recipient,
    commitment,
    share,
  ]);
  const signed = manifest.custodians.map(({ name, recipient, commitment, share }) => [
    name,
    recipient,
    commitment,
    share,
  ]);
  const same =
    manifest.backupId === draft.backupId &&
    manifest.threshold === threshold &&
    manifest.checkpoint === draft.checkpoint &&
    manifest.payload.chunksSha256 === draft.payload.chunksSha256 &&
    manifest.payload.recipient === draft.payload.recipient &&
    told(manifest.members.map(({ path, sha256: hash }) => [path, hash])) ===
      told(draft.members.map(({ path, sha256: hash }) => [path, hash])) &&
    told(signed) === told(shares);
  if (!same)
    throw new KeysteadError('backup.signature-invalid', { field: 'manifest', seen: 'another than was asked for' });
}

function custodiansOf(layout: Layout): BackupPolicy {
  const { backup } = parsePolicy(readFileSync(layout.policy));
  if (backup === undefined) throw new KeysteadError('backup.not-configured', { field: 'policy.backup' });
  return backup;
}

/** Two backups at once would write each other's snapshot. The lock has a directory of its own: serve holds that of the records. */
async function soleBackup(layout: Layout): Promise<SoleRight> {
  const dir = layout.backupLock;
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  try {
    return await becomeSole(dir);
  } catch (cause) {
    throw new KeysteadError('service.already-running', { field: dir, seen: 'another backup', cause });
  }
}
