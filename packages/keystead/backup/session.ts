import { toHex } from '@keystead/core/bytes';
import { type SecretBytes, sha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { type OpenedShare, openShare } from '@keystead/core/lifecycle';
import { type AgeIdentity, decryptWith, encryptTo, fromArmor, newIdentity, textOf, toArmor } from './age.ts';
import { combineShares, tooFew } from './shares.ts';
import type { SignedBackup } from './verify.ts';

/** What two people compare by voice before a share goes to a session: SHA-256 of the recipient's text, its first 16 bytes. */
export function fingerprintOf(recipient: string): string {
  const hex = toHex(sha256(Buffer.from(recipient, 'utf8'))).slice(0, 32);
  return hex.match(/.{4}/g)?.join(' ') ?? hex;
}

/**
 * A custodian's part: opens their share with their own key, holds it against the manifest, and encrypts it to the
 * session that asks. It never is in the clear outside of this process.
 * @param identities the custodian's own keys.
 * @param to the session's recipient; undefined to try only whether the share opens.
 * @throws KeysteadError `backup.custodian-unknown`, `backup.key-differs`, `backup.share-*`,
 *   `backup.recipient-malformed`.
 */
export async function respond(
  backup: SignedBackup,
  custodian: string,
  identities: readonly AgeIdentity[],
  to: string | undefined,
): Promise<string | undefined> {
  const { manifest } = backup;
  const listed = manifest.custodians.find(({ name }) => name === custodian);
  if (listed === undefined)
    throw new KeysteadError('backup.custodian-unknown', { field: 'custodian', seen: custodian });
  using text = await decryptWith(identities, Buffer.from(listed.share, 'base64'));
  if (text === undefined) {
    throw new KeysteadError('backup.key-differs', {
      field: 'key',
      seen: `another key than ${listed.recipient} of ${custodian}`,
    });
  }
  openShare(text, manifest).share.wipe();
  if (to === undefined) return undefined;
  try {
    return toArmor(await encryptTo(to, text));
  } catch (cause) {
    throw new KeysteadError('backup.recipient-malformed', { field: 'to', seen: to.slice(0, 80), cause });
  }
}

/** A refused response, as the audit log will tell it. */
export interface RefusedResponse {
  readonly code: string;
  /** Whose share it was, when that could be told. */
  readonly who?: string;
}

/** These name the custodian in what they saw; others tell of a file that is nobody's. */
const NAMING: ReadonlySet<string> = new Set([
  'backup.share-repeated',
  'backup.share-altered',
  'backup.custodian-unknown',
]);
const whoIn = ({ code, seen }: KeysteadError): string | undefined => (NAMING.has(code) ? seen : undefined);

/**
 * The session in which a restore or a drill collects shares. Its key lives in this process only: responses are of no
 * use to anybody else, nor later.
 */
export class ShareSession {
  readonly recipient: string;
  readonly #backup: SignedBackup;
  readonly #identity: SecretBytes;
  readonly #shares: OpenedShare[] = [];
  readonly refused: RefusedResponse[] = [];

  private constructor(backup: SignedBackup, identity: SecretBytes, recipient: string) {
    this.#backup = backup;
    this.#identity = identity;
    this.recipient = recipient;
  }

  static async open(backup: SignedBackup): Promise<ShareSession> {
    const { identity, recipient } = await newIdentity();
    return new ShareSession(backup, identity, recipient);
  }

  /** Who has given a share. */
  get custodians(): string[] {
    return this.#shares.map(({ custodian }) => custodian);
  }

  /** How many more shares it takes. */
  get missing(): number {
    return Math.max(0, this.#backup.manifest.threshold - this.#shares.length);
  }

  /**
   * Takes a response of `respond`, text. One that is refused changes nothing, and is remembered.
   * @returns whose share it was.
   * @throws KeysteadError `backup.response-foreign`, `backup.share-*`, `backup.custodian-unknown`.
   */
  async accept(response: string): Promise<string> {
    try {
      const opened = await this.#open(response);
      const twin = this.#shares.some(({ custodian }) => custodian === opened.custodian);
      if (twin) {
        opened.share.wipe();
        throw new KeysteadError('backup.share-repeated', { field: 'response', seen: opened.custodian });
      }
      this.#shares.push(opened);
      return opened.custodian;
    } catch (error) {
      if (error instanceof KeysteadError) this.refused.push({ code: error.code, who: whoIn(error) });
      throw error;
    }
  }

  async #open(response: string): Promise<OpenedShare> {
    using text = await decryptWith([textOf(this.#identity)], fromArmor(response));
    if (text === undefined) throw new KeysteadError('backup.response-foreign', { field: 'response' });
    return openShare(text, this.#backup.manifest);
  }

  /** The identity that opens the backup. @throws KeysteadError `backup.too-few-shares`, `backup.shares-inconsistent`. */
  async combine(): Promise<SecretBytes> {
    const { manifest } = this.#backup;
    if (this.missing > 0) throw tooFew(this.#shares.length, manifest.threshold);
    return combineShares(this.#shares, manifest);
  }

  /** Wipes the shares and the session's key. */
  close(): void {
    for (const { share } of this.#shares) share.wipe();
    this.#identity.wipe();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
