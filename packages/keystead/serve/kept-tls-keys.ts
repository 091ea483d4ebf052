import { fromBase64, type SpkiSha256, toBase64 } from '@keystead/core/bytes';
import type { Clock } from '@keystead/core/clock';
import {
  generateSoftwareKey,
  openBytes,
  SecretBytes,
  sealBytes,
  softwareSigner,
  spkiSha256,
} from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import type { KeyEvent } from '@keystead/core/lifecycle';
import { z } from 'zod';
import type { AppendAudit } from '../access/index.ts';
import { enterKey, moveKey, SERVE_TLS, type Told } from '../inventory/index.ts';
import type { KeydClient } from '../keyd-client/index.ts';
import type { KeyRow, Reader, Store, Tx } from '../store/index.ts';

/** serve shows the current one; the others wait, and are told of before they are shown. */
const TLS_KEY_USES = ['current', 'next', 'backup'] as const;
export type TlsKeyUse = (typeof TLS_KEY_USES)[number];
export type PreparedUse = Exclude<TlsKeyUse, 'current'>;

const KeptSchema = z.array(
  z.strictObject({
    use: z.enum(TLS_KEY_USES),
    spkiSha256: z
      .string()
      .regex(/^[0-9a-f]{64}$/)
      .transform((hex) => hex as SpkiSha256),
    /** PKCS#8 under AES-256-GCM, by a key that keyd alone has. */
    sealed: z.base64(),
    /** Of keyd, from which that key is derived. */
    master: z.int().min(1),
  }),
);
export type KeptTlsKey = z.output<typeof KeptSchema>[number];

export interface KeptTlsKeysDeps {
  readonly store: Store;
  readonly keyd: Pick<KeydClient, 'tlsSealingKey'>;
  readonly clock: Clock;
  readonly audit: AppendAudit;
}

/** All of them in one value, so that no crash leaves two current ones or none. */
const META = 'serve.tls-keys';
const ALGORITHM = 'P-256';

/**
 * The TLS keys that outlive serve: sealed in the records, each under a key of its own that keyd derives and the database
 * never has. What happens to one is one transaction with its history and its audit entries.
 * REQ-KEY-STO-02, REQ-KEY-ROT-03, REQ-KEY-POL-01
 */
export class KeptTlsKeys {
  readonly #deps: KeptTlsKeysDeps;

  constructor(deps: KeptTlsKeysDeps) {
    this.#deps = deps;
  }

  list(): readonly KeptTlsKey[] {
    return this.#deps.store.read(keptIn);
  }

  /** Its record, which stands in the inventory from its first day. */
  row({ spkiSha256: key }: KeptTlsKey): KeyRow | undefined {
    return this.#deps.store.read((records) => records.keyBySpki(key));
  }

  /**
   * The private key, PKCS#8; the caller wipes it.
   * @throws KeysteadError `tls-key.unreadable`; of keyd's `tlsSealingKey`.
   */
  async open({ spkiSha256: key, sealed, master }: KeptTlsKey): Promise<SecretBytes> {
    const told = await this.#deps.keyd.tlsSealingKey({ spkiSha256: key, master });
    using seal = SecretBytes.take(told.key);
    let pkcs8: SecretBytes | undefined;
    try {
      pkcs8 = openBytes(seal, fromBase64(sealed), aadOf(key));
      if (spkiSha256(softwareSigner(ALGORITHM, pkcs8).spki) === key) return pkcs8;
    } catch (cause) {
      pkcs8?.wipe();
      throw new KeysteadError('tls-key.unreadable', { field: key, seen: 'a seal that does not open', cause });
    }
    pkcs8.wipe();
    throw new KeysteadError('tls-key.unreadable', { field: key, seen: 'another key' });
  }

  /**
   * Makes the first key and its backup, where there is none. They are durable when this resolves.
   * @throws KeysteadError of keyd's `tlsSealingKey`; `store.*`.
   */
  async found(told: Told): Promise<void> {
    if (this.list().length > 0) return;
    const made = [await this.#make('current'), await this.#make('backup')];
    await this.#deps.store.commit((tx) => {
      if (keptIn(tx).length > 0) return;
      for (const one of made) this.#enter(tx, one, told);
      keep(tx, made);
    });
  }

  /**
   * Makes the key that is to be the next, or the backup.
   * @param replace destroys the one that there is.
   * @throws KeysteadError `tls-key.exists`; of keyd's `tlsSealingKey`; `store.*`.
   */
  async prepare(use: PreparedUse, replace: boolean, told: Told): Promise<KeptTlsKey> {
    const refuseSecond = (records: Reader): KeptTlsKey | undefined => {
      const there = keptIn(records).find((one) => one.use === use);
      if (there !== undefined && !replace)
        throw new KeysteadError('tls-key.exists', { field: use, seen: there.spkiSha256 });
      return there;
    };
    this.#deps.store.read(refuseSecond);
    const made = await this.#make(use);
    await this.#deps.store.commit((tx) => {
      const there = refuseSecond(tx);
      if (there !== undefined) this.#move(tx, there, 'destroy', told);
      this.#enter(tx, made, told);
      keep(tx, [...keptIn(tx).filter((one) => one.use !== use), made]);
    });
    return made;
  }

  /**
   * Puts a prepared key in the place of the current one, which is destroyed: the sealed key goes in the same transaction.
   * @param allowed looked at once more in it. @throws KeysteadError `tls-key.unknown`; `store.*`; what `allowed` throws.
   */
  async promote(spki: SpkiSha256, told: Told, allowed: (records: Reader) => void): Promise<void> {
    await this.#deps.store.commit((tx) => {
      allowed(tx);
      const all = keptIn(tx);
      const next = preparedIn(all, spki);
      const old = all.find((one) => one.use === 'current');
      this.#move(tx, next, 'activate', told);
      if (old !== undefined) {
        this.#move(tx, old, 'deactivate', told);
        this.#move(tx, old, 'destroy', told);
        const [from, to] = [tx.keyBySpki(old.spkiSha256), tx.keyBySpki(spki)];
        if (from !== undefined && to !== undefined) tx.setSuccessor(from.id, to.id);
      }
      keep(tx, [{ ...next, use: 'current' }, ...all.filter((one) => one !== next && one !== old)]);
    });
  }

  /** Writes down that a key is out of use for good; the second time nothing. */
  async end(kept: KeptTlsKey, event: 'compromise' | 'deactivate', told: Told): Promise<void> {
    if (this.row(kept)?.state !== 'active') return;
    await this.#deps.store.commit((tx) => this.#move(tx, kept, event, told));
  }

  async #make(use: TlsKeyUse): Promise<KeptTlsKey> {
    const fresh = generateSoftwareKey(ALGORITHM);
    using pkcs8 = fresh.pkcs8;
    const key = spkiSha256(fresh.spki);
    const told = await this.#deps.keyd.tlsSealingKey({ spkiSha256: key });
    using seal = SecretBytes.take(told.key);
    const sealed = pkcs8.use((bytes) => toBase64(sealBytes(seal, bytes, aadOf(key))));
    return { use, spkiSha256: key, sealed, master: told.master };
  }

  #enter(tx: Tx, { use, spkiSha256: key }: KeptTlsKey, told: Told): void {
    const at = this.#deps.clock.now().getTime();
    // Nobody else's from its first day: it has a certificate only when it is shown.
    tx.insertKeyUse({ spkiSha256: key, owner: SERVE_TLS, issuer: null, serial: null, firstSeen: at });
    const facts = { purpose: 'tls-server', algorithm: ALGORITHM, custody: 'sealed-file', fips140: 'none' } as const;
    const dates = { generatedAt: at, activatedAt: use === 'current' ? at : null, certificateEnd: null };
    const names = { id: `serve-tls-${key.slice(0, 16)}`, spkiSha256: key, owner: SERVE_TLS };
    enterKey(tx, this.#deps.audit, { ...names, ...facts, ...dates, evidence: { kept: true, madeAs: use } }, told);
  }

  /** What the table of states does not allow any more has happened already. */
  #move(tx: Tx, { spkiSha256: key }: KeptTlsKey, event: KeyEvent, told: Told): void {
    const row = tx.keyBySpki(key);
    if (row === undefined) return;
    if (event === 'deactivate' && row.state !== 'active') return;
    moveKey(tx, this.#deps.audit, row.id, { event, at: this.#deps.clock.now().getTime() }, told);
  }
}

/** @throws KeysteadError `tls-key.unknown`. */
export function preparedIn(all: readonly KeptTlsKey[], spki: string): KeptTlsKey {
  const found = all.find((one) => one.spkiSha256 === spki && one.use !== 'current');
  if (found === undefined) throw new KeysteadError('tls-key.unknown', { field: 'key', seen: spki });
  return found;
}

/** @throws KeysteadError `store.corrupt`. */
function keptIn(records: Reader): readonly KeptTlsKey[] {
  const text = records.meta(META);
  if (text === undefined) return [];
  try {
    return KeptSchema.parse(JSON.parse(text));
  } catch (cause) {
    throw new KeysteadError('store.corrupt', { field: META, cause });
  }
}

const keep = (tx: Tx, all: readonly KeptTlsKey[]): void => tx.setMeta(META, JSON.stringify(all));

const aadOf = (key: SpkiSha256): Uint8Array => Buffer.from(`keystead serve tls key ${key}`, 'latin1');
