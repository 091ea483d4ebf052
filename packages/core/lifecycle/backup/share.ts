import { z } from 'zod';
import { canonicalJson, fromBase64, toBase64, toHex } from '../../bytes/index.ts';
import { SecretBytes, sha256 } from '../../crypto/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import { MOST_CUSTODIANS } from './custodians.ts';
import { BackupIdSchema, type BackupManifest, type BackupShare } from './manifest.ts';

const FORMAT = 'keystead-backup-share/1';

const Document = z.strictObject({
  format: z.literal(FORMAT),
  backupId: BackupIdSchema,
  custodian: z.string().max(64),
  index: z.int().min(1).max(MOST_CUSTODIANS),
  of: z.int().min(2).max(MOST_CUSTODIANS),
  threshold: z.int().min(2).max(MOST_CUSTODIANS),
  /** Shamir share over GF(2^8), base64: a byte for each byte of the secret, and at the end the x-coordinate. */
  share: z.string().max(1024),
});

/** Whose share of what it is. All of it stands in the share's own text, so that a share says where it belongs. */
export interface ShareFacts {
  readonly backupId: string;
  readonly custodian: string;
  readonly index: number;
  readonly of: number;
  readonly threshold: number;
}

/** The text of a share, canonical JSON, as it is encrypted to its custodian. It is a secret: the caller wipes it. */
export function shareText(facts: ShareFacts, share: SecretBytes): SecretBytes {
  const { backupId, custodian, index, of, threshold } = facts;
  return share.use((bytes) =>
    SecretBytes.take(
      Buffer.from(
        canonicalJson({ format: FORMAT, backupId, custodian, index, of, threshold, share: toBase64(bytes) }),
        'utf8',
      ),
    ),
  );
}

/** What the manifest says of a share without telling it: SHA-256 over its text, hex. */
export const commitmentOf = (text: SecretBytes): string => text.use((bytes) => toHex(sha256(bytes)));

/** A share that is one of its backup's. */
export interface OpenedShare {
  readonly custodian: string;
  readonly index: number;
  readonly share: SecretBytes;
}

/**
 * Reads a share's text and holds it against the manifest. Shamir's scheme itself notices nothing: a wrong share gives
 * a wrong secret without a word. @param text stays with the caller.
 * @throws KeysteadError `backup.share-malformed`; `backup.share-foreign` for one of another backup;
 *   `backup.custodian-unknown`; `backup.share-altered` when it is not the one that was made.
 */
export function openShare(text: SecretBytes, manifest: BackupManifest): OpenedShare {
  const parsed = Document.safeParse(text.use(jsonOf));
  if (!parsed.success) throw new KeysteadError('backup.share-malformed', { field: 'share' });
  const { backupId, custodian, index, share } = parsed.data;
  if (backupId !== manifest.backupId) {
    throw new KeysteadError('backup.share-foreign', {
      field: 'share',
      seen: `a share of backup ${backupId}, for backup ${manifest.backupId}`,
    });
  }
  const listed: BackupShare | undefined = manifest.custodians.find((one) => one.name === custodian);
  if (listed === undefined) throw new KeysteadError('backup.custodian-unknown', { field: 'share', seen: custodian });
  if (listed.commitment !== commitmentOf(text)) {
    throw new KeysteadError('backup.share-altered', { field: 'share', seen: custodian });
  }
  return { custodian, index, share: SecretBytes.take(fromBase64(share)) };
}

function jsonOf(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    // No cause: the parser's message quotes the share.
    return undefined;
  }
}
