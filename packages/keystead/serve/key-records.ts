import { toHex } from '@keystead/core/bytes';
import type { Clock } from '@keystead/core/clock';
import { hkdf, type SecretBytes } from '@keystead/core/crypto';
import { issuerOfKey, type Policy } from '@keystead/core/lifecycle';
import type { Logger } from 'pino';
import type { AppendAudit } from '../access/index.ts';
import type { Authority } from '../authority/index.ts';
import { auditWarnings, enterKey, retireOthers, syncKeyd, type Told, toldByKeyd } from '../inventory/index.ts';
import type { KeydClient, Result } from '../keyd-client/index.ts';
import type { Store } from '../store/index.ts';

export interface KeyRecordsDeps {
  readonly store: Store;
  readonly keyd: KeydClient;
  readonly clock: Clock;
  readonly log: Logger;
  readonly audit: AppendAudit;
  readonly authority: Authority;
  readonly policy: () => Policy;
}

/** How often the ends of cryptoperiods are looked at, milliseconds. */
const LOOK_EVERY_MS = 3_600_000;

/** Keeps the inventory in step with keyd, and warns of what ends. REQ-KEY-POL-01 */
export class KeyRecords {
  readonly #deps: KeyRecordsDeps;
  #looked = Number.NEGATIVE_INFINITY;

  constructor(deps: KeyRecordsDeps) {
    this.#deps = deps;
  }

  /**
   * Takes over what keyd knows of its keys and the records do not, and warns of cryptoperiods once an hour. It is called
   * at the start, after each order, and from time to time.
   * @throws KeysteadError of keyd or of the store; it is then done by the next call.
   */
  async tick(): Promise<void> {
    await this.#sync(await this.#deps.keyd.keys());
    const now = this.#deps.clock.now();
    if (now.getTime() - this.#looked < LOOK_EVERY_MS) return;
    this.#looked = now.getTime();
    const { store, audit, policy, log } = this.#deps;
    for (const { level, why, record } of await auditWarnings(store, audit, policy(), now)) {
      log.warn({ key: record.id, purpose: record.purpose, owner: record.owner, why }, `a key is ${level}`);
    }
  }

  /** Has keyd carry out an operator's signed order and records it. @throws KeysteadError as keyd's `changeKey`. */
  async change(order: string, requestId: string): Promise<Result<'changeKey'>> {
    const done = await this.#deps.keyd.changeKey({ order, requestId });
    await this.#sync(await this.#deps.keyd.keys());
    return done;
  }

  /** The same for an order about a firmware key that several signed. @throws KeysteadError as keyd's `orderFirmwareKey`. */
  async orderFirmware(statements: string[], requestId: string): Promise<Result<'orderFirmwareKey'>> {
    const done = await this.#deps.keyd.orderFirmwareKey({ statements, requestId });
    await this.#sync(await this.#deps.keyd.keys());
    return done;
  }

  /** Enters the key of the channel to keyd, by a name that is derived from it and tells nothing of it. */
  async enterChannel(id: string): Promise<void> {
    const { store, audit, clock } = this.#deps;
    if (store.read((records) => records.key(id)) !== undefined) return;
    const at = clock.now().getTime();
    const told: Told = {
      actor: { kind: 'system', id: 'serve' },
      reason: 'given by the supervisor',
      requestId: 'channel',
    };
    await store.commit((tx) => {
      if (tx.key(id) !== undefined) return;
      const row = enterKey(
        tx,
        audit,
        {
          id,
          spkiSha256: null,
          purpose: 'keyd-channel',
          algorithm: 'HMAC-SHA-256',
          custody: 'memory',
          fips140: 'none',
          owner: 'system:supervisor',
          generatedAt: at,
          activatedAt: at,
          certificateEnd: null,
          evidence: { firstSeen: 'at the start of serve' },
        },
        told,
      );
      retireOthers(tx, audit, row, { ...told, reason: 'another channel key took over' });
    });
  }

  async #sync(told: Result<'keys'>): Promise<void> {
    const { store, audit, authority } = this.#deps;
    // Nearly always there is nothing to record, and a transaction would cost an fsync.
    if (
      !store.read(
        (records) =>
          told.keys.every((key) => isKnown(records, key)) &&
          told.destroyed.every(
            ({ spkiSha256 }) => (records.keyBySpki(spkiSha256)?.state ?? 'destroyed') === 'destroyed',
          ) &&
          told.masters.every(({ id }) => records.key(id) !== undefined),
      )
    ) {
      await store.commit((tx) => syncKeyd(tx, audit, told));
    }
    for (const { id, changes } of told.keys) {
      const issuer = issuerOfKey(id);
      const at = changes.find(({ change }) => change === 'compromise')?.at;
      if (issuer !== undefined && at !== undefined) authority.caCompromised(issuer, at);
    }
  }
}

function isKnown(records: Parameters<Parameters<Store['read']>[0]>[0], key: Result<'keys'>['keys'][number]): boolean {
  const row = records.keyBySpki(key.spkiSha256);
  if (row === undefined) return false;
  // A key that waited for its certificate has come into use.
  if (row.state === 'pre-activation' && key.activatedAt !== null) return false;
  return records.keyEvents(row.id).filter(toldByKeyd).length === key.changes.length;
}

/** The name of a channel key: a value derived from it (HKDF), of which nothing leads back to 256 random bits. */
export function channelKeyId(channelKey: SecretBytes): string {
  using name = hkdf('sha256', channelKey, new Uint8Array(), 'keystead channel key name', 8);
  return `keyd-channel-${name.use(toHex)}`;
}
