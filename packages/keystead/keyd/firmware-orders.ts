import { fromBase64 } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import { canonicalVersion, compareVersions, type FirmwareKey, type FirmwareOrder } from '@keystead/core/lifecycle';
import type {
  FirmwareKeyJournalEntry,
  FirmwareOrderJournalEntry,
  FirmwareSignatureJournalEntry,
  FirmwareStampJournalEntry,
} from './firmware-entries.ts';
import type { JournalEntry } from './journal-entry.ts';
import { Turnstile } from './turnstile.ts';

type Order = Omit<FirmwareOrderJournalEntry, 'n' | 'kind'>;
type Signed = Omit<FirmwareSignatureJournalEntry, 'n' | 'kind'>;

/** An order that was taken, and the signatures where they are made. */
export interface TakenOrder {
  readonly order: Order;
  readonly signed?: Signed;
  /** Time stamps of the signatures, by the ids of their keys. */
  readonly stamps?: ReadonlyMap<string, Uint8Array>;
}

/** The highest that was signed for one target. */
interface Highest {
  version: string;
  versionBy: string;
  securityCounter: number | null;
  counterBy: string;
  /** When the last order of the target was taken, milliseconds since 1970. */
  at: number;
}

/**
 * The orders to sign firmware, made again from the journal at each start: which were carried out and with what, how
 * high versions and counters are, and how often each key was used. No front end lowers any of it. REQ-KEY-STO-03
 */
export class FirmwareOrders {
  /** One order at a time is judged and carried out. */
  readonly turnstile = new Turnstile();
  /** By the hash of the order, in the order in which they were taken. */
  readonly #taken = new Map<string, TakenOrder>();
  readonly #ids = new Map<string, string>();
  readonly #highest = new Map<string, Highest>();
  /** The first order of each version, however it is written. */
  readonly #images = new Map<string, Order>();
  readonly #uses = new Map<string, number>();
  /** By what each key has signed, undefined for the one signature of its kind. */
  readonly #schemes = new Map<string, string | undefined>();
  /** When a quorum said last what a key was used for, milliseconds since 1970. */
  readonly #vouched = new Map<string, number>();
  /** The hashes of the orders of one image for one target, in the order in which they were taken. */
  readonly #sameImage = new Map<string, string[]>();

  replay(entry: JournalEntry): void {
    if (entry.kind === 'firmware-order') this.take(entry);
    if (entry.kind === 'firmware-signature') this.sign(entry);
    if (entry.kind === 'firmware-stamp') this.stamp(entry);
    if (entry.kind === 'firmware-key') this.vouch(entry);
  }

  /** Takes an order into account whose entry is durable. */
  take(order: Order): void {
    this.#taken.set(order.orderSha256, { order });
    const same = this.#sameImage.get(sameImage(order));
    if (same === undefined) this.#sameImage.set(sameImage(order), [order.orderSha256]);
    else same.push(order.orderSha256);
    this.#ids.set(order.order, order.orderSha256);
    const version = versionOf(order);
    if (!this.#images.has(version)) this.#images.set(version, order);
    for (const { spkiSha256 } of order.keys) this.#uses.set(spkiSha256, this.uses(spkiSha256) + 1);
    const target = targetOf(order);
    const highest = this.#highest.get(target) ?? {
      version: order.version,
      versionBy: order.order,
      securityCounter: null,
      counterBy: order.order,
      at: 0,
    };
    this.#highest.set(target, highest);
    highest.at = Math.max(highest.at, Date.parse(order.time));
    if (compareVersions(order.version, highest.version) > 0) {
      highest.version = order.version;
      highest.versionBy = order.order;
    }
    if ((order.securityCounter ?? -1) > (highest.securityCounter ?? -1)) {
      highest.securityCounter = order.securityCounter;
      highest.counterBy = order.order;
    }
  }

  /** Takes the signatures of an order into account whose entry is durable. */
  sign(signed: Signed): void {
    const taken = this.#taken.get(signed.orderSha256);
    if (taken === undefined) return;
    this.#taken.set(signed.orderSha256, { order: taken.order, signed });
    taken.order.keys.forEach(({ spkiSha256 }, at) => {
      if (!this.#schemes.has(spkiSha256)) this.#schemes.set(spkiSha256, signed.signatures[at]?.scheme);
    });
  }

  /** Takes the time stamps of an order into account whose entry is durable. */
  stamp({ orderSha256, tokens }: Pick<FirmwareStampJournalEntry, 'orderSha256' | 'tokens'>): void {
    const taken = this.#taken.get(orderSha256);
    if (taken === undefined) return;
    const stamps = new Map(taken.stamps);
    for (const { key, token } of tokens) stamps.set(key, fromBase64(token));
    this.#taken.set(orderSha256, { ...taken, stamps });
  }

  /**
   * A key signs by one scheme for all of its life (FIPS 186-5 section 5.1), whatever a later policy says.
   * @param scheme undefined for the one signature of its kind.
   * @throws KeysteadError `firmware-key.scope`.
   */
  requireScheme(spkiSha256: string, scheme: string | undefined): void {
    const before = this.#schemes.get(spkiSha256);
    if (!this.#schemes.has(spkiSha256) || before === scheme) return;
    const seen = `${scheme ?? 'none'}, where the key has signed by ${before ?? 'the one of its kind'}`;
    throw new KeysteadError('firmware-key.scope', { field: 'signature', seen });
  }

  /** What became of an order. */
  of(orderSha256: string): TakenOrder | undefined {
    return this.#taken.get(orderSha256);
  }

  /** Takes into account what an order about a key, whose entry is durable, says that the key was used for. */
  vouch({ spkiSha256, used, time }: Pick<FirmwareKeyJournalEntry, 'spkiSha256' | 'used' | 'time'>): void {
    if (used === undefined) return;
    this.#uses.set(spkiSha256, Math.max(this.uses(spkiSha256), used.orders));
    if (!this.#schemes.has(spkiSha256) && used.orders > 0) this.#schemes.set(spkiSha256, used.signature ?? undefined);
    this.#vouched.set(spkiSha256, Date.parse(time));
  }

  /**
   * How often a key was used, and by which scheme, is not known any more where it may have been forgotten since: by a
   * restore, or by an older disk. A key that the policy bounds, and one that has the choice, waits for a quorum that has
   * looked into the audit log. A development key waits for nobody.
   * @param activatedAt when the key came into use, milliseconds since 1970: one of after it has nothing forgotten.
   * @param forgotAt when, milliseconds since 1970.
   * @throws KeysteadError `firmware-key.uses-unknown`.
   */
  requireKnownUses(
    { id, algorithm, environment, maxSignatures }: FirmwareKey,
    spkiSha256: string,
    activatedAt: number | null,
    forgotAt: number | undefined,
  ): void {
    if (forgotAt === undefined || environment === 'development') return;
    if (activatedAt !== null && activatedAt > forgotAt) return;
    if ((this.#vouched.get(spkiSha256) ?? Number.NEGATIVE_INFINITY) > forgotAt) return;
    const hasChoice = algorithm.startsWith('RSA') && !this.#schemes.has(spkiSha256);
    if (maxSignatures === undefined && !hasChoice) return;
    const seen = `${id}, of which ${this.uses(spkiSha256)} orders are known of before ${new Date(forgotAt).toISOString()}`;
    throw new KeysteadError('firmware-key.uses-unknown', { field: 'keys', seen });
  }

  /** Every order that was taken, the oldest first. */
  list(): readonly TakenOrder[] {
    return [...this.#taken.values()];
  }

  /**
   * The last order by which the image of an order was signed, for the same target and format, without this key and by keys
   * that devices believe; or null.
   * @param believed SHA-256 of their public keys.
   */
  signedAgain(of: Order, key: string, believed: ReadonlySet<string>): string | null {
    let found: string | null = null;
    for (const hash of this.#sameImage.get(sameImage(of)) ?? []) {
      const again = this.#taken.get(hash);
      if (again?.signed === undefined || again.order.orderSha256 === of.orderSha256) continue;
      const { keys, order } = again.order;
      if (keys.every(({ id, spkiSha256 }) => id !== key && believed.has(spkiSha256))) found = order;
    }
    return found;
  }

  /** Whether an order like this one would go back behind the highest of its target. */
  goesBack({ version, securityCounter, ...line }: Order): boolean {
    const highest = this.#highest.get(targetOf({ version, ...line }));
    if (highest === undefined) return false;
    return compareVersions(version, highest.version) < 0 || (securityCounter ?? -1) < (highest.securityCounter ?? -1);
  }

  /** How many orders a key was used for. */
  uses(spkiSha256: string): number {
    return this.#uses.get(spkiSha256) ?? 0;
  }

  /**
   * How high a target stood is not known any more where its orders may have been forgotten since the last that is known:
   * by a restore, or by an older disk. Only the quorum that may go back says then from where it goes on. A development
   * image runs on no device in the field, and waits for nobody.
   * @param forgotAt when, milliseconds since 1970.
   * @throws KeysteadError `firmware-order.floor-unknown`.
   */
  requireKnownFloor(order: FirmwareOrder, forgotAt: number | undefined): void {
    if (forgotAt === undefined || order.rollback || order.environment === 'development') return;
    const last = this.#highest.get(targetOf(order));
    if (last !== undefined && last.at > forgotAt) return;
    const known = last === undefined ? 'nothing' : `${last.version} and what came after it`;
    const seen = `${order.version}, where ${known} is forgotten since ${new Date(forgotAt).toISOString()}`;
    throw new KeysteadError('firmware-order.floor-unknown', { field: 'rollback', seen });
  }

  /**
   * Whether an order may be signed after what was taken before: its id is no other order's, its version is no other image,
   * and it goes back only where it says so. One that was taken and not signed may have been passed by a higher one.
   * @throws KeysteadError `firmware-order.id-reused`, `firmware-order.version-taken`, `firmware-order.rollback`.
   */
  requireNext(order: FirmwareOrder, orderSha256: string): void {
    if ((this.#ids.get(order.id) ?? orderSha256) !== orderSha256)
      throw new KeysteadError('firmware-order.id-reused', { field: 'id', seen: order.id });
    const same = this.#images.get(versionOf(order));
    if (same !== undefined && same.image.sha256 !== order.image.sha256) {
      const seen = `${order.version}, which ${same.order} signed as another image`;
      throw new KeysteadError('firmware-order.version-taken', { field: 'version', seen });
    }
    const highest = this.#highest.get(targetOf(order));
    if (highest === undefined || order.rollback) return;
    if (compareVersions(order.version, highest.version) < 0) {
      const seen = `${order.version}, where ${highest.versionBy} signed ${highest.version}`;
      throw new KeysteadError('firmware-order.rollback', { field: 'version', seen });
    }
    if ((order.securityCounter ?? -1) < (highest.securityCounter ?? -1)) {
      const seen = `${order.securityCounter ?? 'none'}, where ${highest.counterBy} signed ${highest.securityCounter}`;
      throw new KeysteadError('firmware-order.rollback', { field: 'securityCounter', seen });
    }
  }
}

type Target = Pick<Order, 'product' | 'environment' | 'target' | 'version'>;
/** None of the parts has a blank in it. */
const targetOf = ({ product, environment, target }: Target): string => `${product} ${environment} ${target}`;
const versionOf = (of: Target): string => `${targetOf(of)} ${canonicalVersion(of.version)}`;
const sameImage = (of: Order): string => `${targetOf(of)} ${of.format} ${of.image.sha256}`;
