import { spkiSha256 } from '@keystead/core/crypto';
import { lineKeys, type Policy } from '@keystead/core/lifecycle';
import { readCertificate } from '@keystead/core/x509';
import type { KeydClient, Result } from '../keyd-client/index.ts';
import type { Store } from '../store/index.ts';
import type { BlobStore } from './blob-store.ts';

/** As many orders as one page has. */
const PAGE = 200;
/** Requests for one version that are looked at: more of one version nobody makes. */
const LOOKED_AT = 50;

/** An image that one key signed, and what has become of it since. */
export interface WorklistEntry {
  /** The order, which is also the id of the request where this service has it. */
  readonly order: string;
  readonly at: string;
  readonly product: string;
  readonly environment: string;
  readonly target: string;
  readonly version: string;
  readonly securityCounter: number | null;
  readonly format: string;
  readonly keys: readonly string[];
  readonly image: { readonly sha256: string; readonly bytes: number };
  /** Whether the image is still kept here, so that it can be signed again from here. */
  readonly kept: boolean;
  /** False for an order whose signature was never given out. */
  readonly signed: boolean;
  /** The order by which keyd signed the same image without this key, by keys that devices believe; or null. */
  readonly signedAgain: string | null;
  /** A request for that which waits for people or for keyd; or null. */
  readonly waiting: string | null;
  /** To sign it again takes the larger quorum: a higher version or counter was signed for the target since. */
  readonly goesBack: boolean;
}

export interface WorklistPage {
  readonly key: string;
  readonly entries: readonly WorklistEntry[];
  /** What to ask for next; null at the end. */
  readonly next: number | null;
}

/** A key that signs firmware, as keyd has it and as the policy uses it. */
export interface FirmwareKeyView {
  readonly id: string;
  readonly product: string;
  readonly environment: string;
  readonly algorithm: string;
  readonly formats: readonly string[];
  readonly spkiSha256: string;
  /** SP 800-57: as keyd enforces it. */
  readonly state: string;
  /** How many changes of its state people have ordered. */
  readonly ordered: number;
  /** What the policy lets it do: devices trust it and it signs, they trust it and it signs nothing, or neither. */
  readonly use: 'signs' | 'trusted' | 'retired';
  readonly orders: number;
  readonly maxSignatures: number | null;
  /** ISO 8601; null for a key without a certificate. */
  readonly certifiedUntil: string | null;
  /** Why it signs nothing now; null where it may. */
  readonly refused: string | null;
}

type Keyd = Pick<KeydClient, 'firmwareSignatures' | 'firmwareKeys'>;
type Told = Result<'firmwareSignatures'>['orders'][number];

/**
 * What a key has signed, by keyd's own journal, with what is kept here of each: the list of what to sign again when the key
 * is killed or retired. What keyd tells is not changed; this service can leave out what it keeps, and nothing else.
 * REQ-KEY-ROT-02
 */
export class Worklist {
  readonly #keyd: Keyd;
  readonly #store: Store;
  readonly #files: BlobStore;
  readonly #policy: () => Policy;

  constructor(keyd: Keyd, store: Store, files: BlobStore, policy: () => Policy) {
    this.#keyd = keyd;
    this.#store = store;
    this.#files = files;
    this.#policy = policy;
  }

  /** Orders of one key, the oldest first. @param key its id in the policy. @param from 0, or `next` of the page before. */
  async page(key: string, from: number): Promise<WorklistPage> {
    const { orders, next, end } = await this.#keyd.firmwareSignatures({ key, from, limit: PAGE });
    return { key, entries: orders.map((told) => this.#entry(told, key)), next: end ? null : next };
  }

  /** Every firmware key of the policy in force that keyd has made. */
  async keys(): Promise<{ keys: FirmwareKeyView[] }> {
    const { keys } = await this.#keyd.firmwareKeys();
    return { keys: keys.map((key) => this.#keyView(key)) };
  }

  #keyView(key: Result<'firmwareKeys'>['keys'][number]): FirmwareKeyView {
    const { id, product, environment, algorithm, formats, state, ordered, orders, maxSignatures, refused } = key;
    const { signs, trusted } = lineKeys(this.#policy(), key);
    const certificate = key.certificate === null ? null : readCertificate(key.certificate);
    return {
      ...{ id, product, environment, algorithm, formats, state, ordered },
      spkiSha256: certificate === null ? key.spkiSha256 : spkiSha256(certificate.spki),
      use: signs.includes(id) ? 'signs' : trusted.includes(id) ? 'trusted' : 'retired',
      ...{ orders, maxSignatures, refused },
      certifiedUntil: certificate?.notAfter.toISOString() ?? null,
    };
  }

  #entry(told: Told, key: string): WorklistEntry {
    const { order, product, environment, target, version, securityCounter, format, image, signed } = told;
    return {
      ...{ order, product, environment, target, version, securityCounter, format, image, signed },
      at: told.at.toISOString(),
      keys: told.keys.map(({ id }) => id),
      kept: this.#files.sizeOf(image.sha256) === image.bytes,
      signedAgain: told.signedAgain,
      waiting: told.signedAgain === null ? this.#waiting(told, key) : null,
      goesBack: told.goesBack,
    };
  }

  /** A request of the same image without this key that has not ended. */
  #waiting(told: Told, key: string): string | null {
    const rows = this.#store.read(({ signing }) => signing.ofVersion(told, told.version, LOOKED_AT));
    const again = rows.find((row) => {
      if (row.state === 'signed' || row.imageSha256 !== told.image.sha256 || row.format !== told.format) return false;
      const { keys = [] } = JSON.parse(row.order) as { keys?: string[] };
      return !keys.includes(key);
    });
    return again?.id ?? null;
  }
}
