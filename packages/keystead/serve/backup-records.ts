import { fromBase64, toBase64, toHex } from '@keystead/core/bytes';
import { sha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { type AppendAudit, actorOf, type OperatorClient, type RefusalLog } from '../access/index.ts';
import type { AuditEvent } from '../audit/index.ts';
import type { KeydClient, Result } from '../keyd-client/index.ts';
import type { BackupDraft, DrillReport } from '../protocols/rest/domain.ts';
import type { Store } from '../store/index.ts';

export interface BackupRecordsDeps {
  readonly store: Store;
  readonly keyd: KeydClient;
  readonly audit: AppendAudit;
  readonly refusals: RefusalLog;
}

/** How many of keyd's restores stand in this log. */
const RECORDED = 'backup.restores.recorded';
const RESTORE: AuditEvent['actor'] = { kind: 'system', id: 'restore' };

/**
 * What the front end has to do with backups: it passes a manifest to keyd and keeps the log of each step. Content,
 * shares in the clear and the master never come here. REQ-KEY-BAK-02
 */
export class BackupRecords {
  readonly #deps: BackupRecordsDeps;

  constructor(deps: BackupRecordsDeps) {
    this.#deps = deps;
  }

  /**
   * Has keyd sign a manifest. The entry says that it was signed; whether the file was kept is for its owner to see.
   * @throws KeysteadError what keyd refuses, audited.
   */
  async sign(
    draft: BackupDraft,
    client: OperatorClient,
    requestId: string,
  ): Promise<{ manifest: string; signature: string }> {
    const { keyd, store, audit } = this.#deps;
    const shares = draft.shares.map((one) => ({ ...one, share: fromBase64(one.share) }));
    let signed: Result<'signBackupManifest'>;
    try {
      signed = await keyd.signBackupManifest({ ...draft, shares, operator: client.id, requestId });
    } catch (error) {
      await this.#refused(error, client, requestId, draft.backupId);
      throw error;
    }
    await store.commit((tx) =>
      audit(tx, {
        type: 'backup.created',
        actor: actorOf(client),
        requestId,
        outcome: 'done',
        subject: { backup: draft.backupId },
        detail: {
          manifestSha256: toHex(sha256(Buffer.from(signed.manifest, 'utf8'))),
          bytes: draft.payload.bytes,
          custodians: draft.shares.map(({ name }) => name).join(' '),
        },
      }),
    );
    return { manifest: signed.manifest, signature: toBase64(signed.signature) };
  }

  /** Puts a drill on record, as the operator's command reports it. */
  async recordDrill(drill: DrillReport, client: OperatorClient, requestId: string): Promise<{ auditSeq: number }> {
    const { backupId, manifestSha256, custodians, outcome, code, members, logEntries } = drill;
    const { seq } = await this.#deps.store.commit((tx) =>
      this.#deps.audit(tx, {
        type: outcome === 'done' ? 'backup.drilled' : 'backup.drill-refused',
        actor: actorOf(client),
        requestId,
        outcome,
        subject: { backup: backupId },
        detail: { manifestSha256, custodians: custodians.join(' '), members, logEntries, ...(code && { code }) },
      }),
    );
    return { auditSeq: seq };
  }

  /**
   * Writes each restore of keyd's journal into the log, once, with the attempts that were refused before it; and has
   * the documents written out again, whose files were not in the backup. Before anything else is done.
   * @returns whether there was one since the last start.
   */
  async recordRestores(): Promise<boolean> {
    const { keyd, store } = this.#deps;
    const { restores } = await keyd.status();
    const known = Number(store.read((records) => records.meta(RECORDED)) ?? 0);
    if (restores.length === known) return false;
    // A backup of a restored system has the count of its own time, and so has its journal; fewer can only be damage.
    if (restores.length < known) {
      throw new KeysteadError('backup.state-inconsistent', {
        field: 'keyd/journal',
        seen: `${restores.length} restores, where the records know of ${known}`,
      });
    }
    await store.commit((tx) => {
      for (const restore of restores.slice(known)) {
        for (const event of eventsOf(restore)) this.#deps.audit(tx, event);
      }
      tx.setMeta(RECORDED, String(restores.length));
      tx.forgetExports();
    });
    return true;
  }

  async #refused(thrown: unknown, client: OperatorClient, requestId: string, backup: string): Promise<void> {
    if (!(thrown instanceof KeysteadError) || thrown.kind === 'unavailable') return;
    await this.#deps.refusals.refused({
      what: 'create backup',
      error: thrown,
      actor: actorOf(client),
      requestId,
      subject: { backup },
    });
  }
}

function eventsOf(restore: Result<'status'>['restores'][number]): AuditEvent[] {
  const { backupId, manifestSha256, custodians, log, acceptedLoss, refused, time, agreed } = restore;
  const requestId = `restore-${backupId}`;
  const subject = { backup: backupId };
  return [
    ...refused.map(
      (attempt): AuditEvent => ({
        type: 'backup.restore-refused',
        actor: RESTORE,
        requestId,
        outcome: 'refused',
        subject,
        detail: { at: attempt.time, code: attempt.code, who: attempt.who ?? null },
      }),
    ),
    {
      type: 'backup.restored',
      actor: RESTORE,
      requestId,
      outcome: 'done',
      subject,
      detail: {
        at: time.toISOString(),
        manifestSha256,
        custodians: custodians.join(' '),
        logInBackup: log.backup,
        logRestored: log.restored,
        logNewestSeen: log.newestSeen,
        acceptedLoss,
        // Verified by keyd; the custodians are what the command of the restore reported.
        ...(agreed === undefined
          ? {}
          : { askedBy: agreed.by, agreedBy: agreed.approvers.join(' '), agreedAt: agreed.at.toISOString() }),
      },
    },
  ];
}
