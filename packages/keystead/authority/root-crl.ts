import type { Clock } from '@keystead/core/clock';
import { KeysteadError } from '@keystead/core/errors';
import type { Policy } from '@keystead/core/lifecycle';
import { ROOT_CRL_LIST } from '@keystead/core/lifecycle';
import type { AppendAudit } from '../access/index.ts';
import type { KeydClient } from '../keyd-client/index.ts';
import type { CrlRow, Store } from '../store/index.ts';
import { CrlFiles } from './crl-files.ts';

export interface RootCrlDeps {
  readonly store: Store;
  readonly keyd: Pick<KeydClient, 'signRootCrl' | 'crlFile'>;
  readonly clock: Clock;
  readonly audit: AppendAudit;
  readonly policy: () => Policy;
}

/**
 * Publishes the indirect CRL of the root, in the place where the CAs name it: what stands on it is keyd's own word, so
 * that nothing is sent. It is made when a CA is revoked, at each start, and again before it ends. REQ-KEY-REV-01
 */
export class RootCrlPublisher {
  readonly #deps: RootCrlDeps;
  readonly #files: CrlFiles;
  readonly #listeners = new Set<(list: string) => void>();
  #making: Promise<CrlRow> | undefined;
  #overdue = true;
  /** The list of which it was audited that it ended without a successor. */
  #missed: string | undefined;

  constructor(deps: RootCrlDeps, directory: string) {
    this.#deps = deps;
    this.#files = new CrlFiles(directory, (name) => deps.keyd.crlFile(name));
  }

  /**
   * Publishes a list that has every revocation of which keyd knew before this call.
   * @throws KeysteadError of keyd or of the store; {@link tick} tries again then.
   */
  async publish(): Promise<CrlRow> {
    this.#overdue = true;
    // One that is being made may have begun before keyd knew of it.
    await this.#making?.catch(() => undefined);
    this.#making ??= this.#make().finally(() => {
      this.#making = undefined;
    });
    return this.#making;
  }

  /**
   * Publishes the list when it is due.
   * @throws KeysteadError `crl.late`, when the last one is older than it should be and none could be made.
   */
  async tick(): Promise<void> {
    const now = this.#deps.clock.now().getTime();
    const last = this.latest;
    const due = last === undefined || now >= last.madeAt + this.#deps.policy().revocation.crlRefreshSeconds * 1000;
    if (!due && !this.#overdue) return;
    try {
      await this.publish();
    } catch (cause) {
      const when = last === undefined ? 'never made' : `until ${new Date(last.nextUpdate).toISOString()}`;
      if (last !== undefined && last.nextUpdate <= now) await this.#auditMissed(last);
      const seen = `${when}: ${cause instanceof Error ? cause.message : ''}`;
      throw new KeysteadError('crl.late', { field: ROOT_CRL_LIST, seen, cause });
    }
  }

  /** The list that was published last. */
  get latest(): CrlRow | undefined {
    return this.#deps.store.read((records) => records.crlLists('root')).find(({ list }) => list === ROOT_CRL_LIST);
  }

  /** Calls `listener` when a new list is in place. */
  onPublished(listener: (list: string) => void): void {
    this.#listeners.add(listener);
  }

  async #make(): Promise<CrlRow> {
    const madeAt = this.#deps.clock.now().getTime();
    const signed = await this.#deps.keyd.signRootCrl();
    const file = await this.#files.stage(ROOT_CRL_LIST, signed);
    const { number, bytes, sha256 } = signed;
    const row = { number, madeAt, nextUpdate: signed.nextUpdate.getTime(), bytes, sha256 };
    const named: CrlRow = { list: ROOT_CRL_LIST, issuer: 'root', ...row };
    try {
      await this.#deps.store.commit((tx) => {
        tx.putCrl(named);
        this.#deps.audit(tx, {
          type: 'crl.published',
          actor: { kind: 'system', id: 'authority' },
          requestId: `crl-${ROOT_CRL_LIST}-${number}`,
          outcome: 'done',
          subject: { issuer: 'root', list: ROOT_CRL_LIST, number },
          detail: { nextUpdate: signed.nextUpdate.toISOString(), entries: signed.entries },
        });
      });
      file.put();
    } catch (error) {
      file.discard();
      throw error;
    }
    this.#overdue = false;
    for (const listener of this.#listeners) listener(ROOT_CRL_LIST);
    return named;
  }

  async #auditMissed({ number, nextUpdate, sha256 }: CrlRow): Promise<void> {
    if (this.#missed === sha256) return;
    await this.#deps.store.commit((tx) => {
      this.#deps.audit(tx, {
        type: 'crl.missed',
        actor: { kind: 'system', id: 'authority' },
        requestId: `crl-missed-${ROOT_CRL_LIST}-${number}`,
        outcome: 'done',
        subject: { issuer: 'root', list: ROOT_CRL_LIST, number },
        detail: { ended: new Date(nextUpdate).toISOString() },
      });
    });
    this.#missed = sha256;
  }
}
