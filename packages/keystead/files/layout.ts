import { join, resolve } from 'node:path';

/** Where everything lives under one data directory, and the two places that are kept apart from it. */
export class Layout {
  /** The data directory, absolute: all state of keyd and serve. */
  readonly data: string;
  /** The pretended safe: the roots' sealed files. Nothing that runs later opens it. */
  readonly offline: string;
  /** The passphrases of the embedded default, one file each, so that a restart needs no person. */
  readonly unlock: string;

  constructor(data: string, apart: { offline?: string; unlock?: string } = {}) {
    this.data = resolve(data);
    this.offline = resolve(apart.offline ?? `${this.data}.offline`);
    this.unlock = resolve(apart.unlock ?? `${this.data}.unlock`);
  }

  #in = (...parts: string[]): string => join(this.data, ...parts);

  get config(): string {
    return this.#in('config.json');
  }
  get endpoints(): string {
    return this.#in('endpoints.json');
  }
  get pidFile(): string {
    return this.#in('start.pid');
  }
  get ceremony(): string {
    return this.#in('ceremony');
  }
  /** Of a factory node: its request, and what goes between it and headquarters. */
  get factory(): string {
    return this.#in('factory');
  }
  get trust(): string {
    return this.#in('trust');
  }
  get policy(): string {
    return join(this.trust, 'policy.json');
  }
  get keyd(): string {
    return this.#in('keyd');
  }
  /** Where one backup at a time is told. */
  get backupLock(): string {
    return this.#in('backup.lock');
  }
  /** Where keyd's socket stands: the one directory of keyd's that serve may pass through. */
  get run(): string {
    return this.#in('run');
  }
  /** Where keyd puts long CRLs for serve to fetch. */
  get crlFiles(): string {
    return join(this.run, 'crl');
  }
  get database(): string {
    return this.#in('store', 'keystead.db');
  }
  /** At a factory node: a later commission that came over the link and waits to be imported. */
  get waitingCommission(): string {
    return this.#in('store', 'waiting-commission.json');
  }
  /** RSA keys that were compared with each other, for the next look: a copy of what the records hold. */
  get fleetKeys(): string {
    return this.#in('store', 'fleet-keys');
  }
  get log(): string {
    return this.#in('log');
  }
  get crl(): string {
    return this.#in('crl');
  }
  get records(): string {
    return this.#in('records');
  }
  get evidence(): string {
    return this.#in('evidence');
  }
  /** What firmware signing keeps by its hash: images as they came, documents bound to them, and what was signed. */
  get signing(): string {
    return this.#in('signing');
  }
  /** The trust bundles by their version, and their filters by hash, as they are published. */
  get bundles(): string {
    return this.#in('bundles');
  }
  get operators(): string {
    return this.#in('operators');
  }
  get devices(): string {
    return this.#in('devices');
  }
  get logs(): string {
    return this.#in('logs');
  }
  /** The passphrase file of one holder of keys: `keyd`, `operators` or `devices`. */
  passphrase(holder: 'keyd' | 'operators' | 'devices'): string {
    return join(this.unlock, holder);
  }
}
