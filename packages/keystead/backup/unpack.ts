import { createHash, type Hash } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { SecretBytes } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { type BackupMember, MASTER_MEMBER } from '@keystead/core/lifecycle';
import { syncDirectory } from '../files/durable.ts';
import { decryptStream, textOf } from './age.ts';
import { contentOf } from './container.ts';
import { mapDiskError } from './disk.ts';
import { masterOf } from './master.ts';
import type { SignedBackup } from './verify.ts';

/**
 * Decrypts a backup into `dir`, which is there and empty, and compares each file bit for bit with the manifest. The
 * master is not written: it is given back when it is wanted, and otherwise only compared. REQ-KEY-BAK-02
 * @param identity stays with the caller.
 * @throws KeysteadError `backup.damaged` with the member, `backup.disk-full`. Files may be left in `dir` then.
 */
export async function unpack(
  backup: SignedBackup,
  identity: SecretBytes,
  dir: string,
  options: { readonly withMaster: boolean; readonly onProgress?: (bytes: number) => void },
): Promise<{ master: SecretBytes | undefined }> {
  const rest = new Members(backup.manifest.members, dir, options.withMaster);
  let done = 0;
  try {
    for await (const bytes of await decryptStream(textOf(identity), contentOf(backup))) {
      await rest.take(bytes);
      done += bytes.length;
      options.onProgress?.(done);
    }
    return { master: await rest.end() };
  } catch (error) {
    await rest.abandon();
    const mapped = mapDiskError(error, dir);
    if (mapped instanceof KeysteadError) throw mapped;
    throw new KeysteadError('backup.damaged', { field: backup.path, seen: 'content that does not open', cause: error });
  }
}

/** A member that is being written. */
interface Current {
  readonly member: BackupMember;
  readonly hash: Hash;
  readonly file: FileHandle | undefined;
  left: number;
}

/** Cuts the plaintext into its members. */
class Members {
  readonly #waiting: BackupMember[];
  readonly #dir: string;
  readonly #withMaster: boolean;
  #current: Current | undefined;
  #master: Buffer | undefined;

  constructor(members: readonly BackupMember[], dir: string, withMaster: boolean) {
    this.#waiting = [...members];
    this.#dir = dir;
    this.#withMaster = withMaster;
  }

  async take(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; ) {
      const current = await this.#next();
      if (current === undefined)
        throw new KeysteadError('backup.damaged', { field: 'content', seen: 'more than its members' });
      const part = bytes.subarray(at, at + Math.min(current.left, bytes.length - at));
      await this.#write(current, part);
      at += part.length;
    }
  }

  async end(): Promise<SecretBytes | undefined> {
    const unfinished = await this.#next();
    if (unfinished !== undefined) {
      throw new KeysteadError('backup.damaged', { field: unfinished.member.path, seen: 'content that ends before it' });
    }
    if (this.#master === undefined) return undefined;
    using member = SecretBytes.take(this.#master);
    return masterOf(member);
  }

  async abandon(): Promise<void> {
    this.#master?.fill(0);
    await this.#current?.file?.close().catch(() => {});
  }

  /** The member to which the next byte belongs; whole ones are concluded, and so are empty ones. */
  async #next(): Promise<Current | undefined> {
    for (;;) {
      if (this.#current !== undefined && this.#current.left > 0) return this.#current;
      if (this.#current !== undefined) await this.#conclude(this.#current);
      const member = this.#waiting.shift();
      if (member === undefined) return undefined;
      const file = member.path === MASTER_MEMBER ? undefined : await this.#create(member.path);
      this.#current = { member, hash: createHash('sha256'), file, left: member.bytes };
    }
  }

  async #create(path: string): Promise<FileHandle> {
    const target = join(this.#dir, path);
    mkdirSync(dirname(target), { recursive: true, mode: 0o700 });
    const file = await open(target, 'wx', 0o600);
    // Certificates, policy and transcript are public, and of two services each has to read them.
    if (/^(?:trust|ceremony)\//.test(path)) await file.chmod(0o644);
    return file;
  }

  async #write(current: Current, part: Uint8Array): Promise<void> {
    current.hash.update(part);
    current.left -= part.length;
    if (current.file !== undefined) {
      for (let done = 0; done < part.length; ) done += (await current.file.write(part, done)).bytesWritten;
    } else if (this.#withMaster) {
      this.#master = Buffer.concat([this.#master ?? Buffer.alloc(0), part]);
    }
  }

  async #conclude({ member, hash, file }: Current): Promise<void> {
    this.#current = undefined;
    await file?.sync();
    await file?.close();
    if (file !== undefined) syncDirectory(dirname(join(this.#dir, member.path)));
    if (hash.digest('hex') !== member.sha256) {
      throw new KeysteadError('backup.damaged', { field: member.path, seen: 'other bytes than the manifest names' });
    }
  }
}
