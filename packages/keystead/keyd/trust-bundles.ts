import { canonicalJson, type DerSpki, fromBase64, type JsonValue, toHex } from '@keystead/core/bytes';
import { SIGNATURE_OF, type Signer, sha256, spkiSha256 } from '@keystead/core/crypto';
import {
  type BundleContent,
  parseBundle,
  SIGNER_ALGORITHMS,
  type Standing,
  signBundle,
  signBundleJws,
  standingOfJson,
  type TrustState,
} from '@keystead/core/trust';
import { checkPublicKey } from '@keystead/core/x509';
import type { JournalEntry } from './journal-entry.ts';
import { withEnds } from './root-ends.ts';
import type { TrustBundleJournalEntry } from './trust-entry.ts';
import { Turnstile } from './turnstile.ts';

type Entry = Omit<TrustBundleJournalEntry, 'n' | 'kind'>;

/** A change of what stands in the bundles, with when it was made. */
export interface StandingChange {
  readonly order: NonNullable<Entry['order']>;
  readonly version: number;
  readonly time: string;
  readonly standing: Standing;
}

/** A bundle that was signed, as it is kept: its bytes are made again when somebody asks for them. */
export interface KeptBundle {
  readonly entry: Omit<Entry, 'order'>;
  readonly change: StandingChange;
  /** Whether it was the first to hold that content. */
  readonly changed: boolean;
  readonly signersChanged: boolean;
}

/**
 * The trust bundles that were signed, made again from the journal at each start. The version only goes up, the content
 * is that of the last order, and an order has one bundle. REQ-KEY-REV-04, REQ-KEY-STO-03
 */
export class TrustBundles {
  /** One bundle at a time is judged and signed. */
  readonly turnstile = new Turnstile();
  readonly #bundles: KeptBundle[] = [];
  readonly #changes: StandingChange[] = [];
  readonly #byOrder = new Map<string, KeptBundle>();
  /** The least version of the next bundle. */
  #least = 1;

  replay(entry: JournalEntry): void {
    if (entry.kind === 'trust-bundle') this.take(entry);
    if (entry.kind === 'restored') this.skip(entry.time);
  }

  /**
   * Versions may have been given until `time` that this journal does not know, and devices never go back: they go on from
   * that time in seconds since 1970. No keyd signs a bundle each second, so that is above them all, also where this very
   * backup was restored before, and bundles were signed from then on. @returns what takes that back.
   */
  skip(time: string): () => void {
    const before = this.#least;
    this.#least = Math.max(before, Math.floor(Date.parse(time) / 1000));
    return () => {
      this.#least = before;
    };
  }

  /** Takes a bundle into account whose entry is durable. */
  take(entry: Entry): KeptBundle {
    const { order, ...facts } = entry;
    const before = this.#changes.at(-1);
    if (order !== undefined) {
      const { version, time } = entry;
      this.#changes.push({ order, version, time, standing: standingOfJson(order.content) });
    }
    const change = this.#changes.at(-1);
    if (change === undefined) throw new RangeError('a trust bundle before the first order for one');
    const changed = order !== undefined;
    const kept = {
      entry: facts,
      change,
      changed,
      signersChanged: changed && !sameSigners(before?.standing.signers, change.standing.signers),
    };
    this.#bundles.push(kept);
    if (order !== undefined) this.#byOrder.set(order.sha256, kept);
    return kept;
  }

  get last(): KeptBundle | undefined {
    return this.#bundles.at(-1);
  }

  /** Every change of the content, the oldest first. */
  get changes(): readonly StandingChange[] {
    return this.#changes;
  }

  /** The bundle that an order was carried out with. */
  ofOrder(orderSha256: string): KeptBundle | undefined {
    return this.#byOrder.get(orderSha256);
  }

  hasOrderId(id: string): boolean {
    return this.#changes.some(({ order }) => order.id === id);
  }

  /** Up to `limit` bundles after a version, the oldest first. */
  after(version: number, limit: number): readonly KeptBundle[] {
    let from = this.#bundles.length;
    while (from > 0 && (this.#bundles[from - 1]?.entry.version ?? 0) > version) from -= 1;
    return this.#bundles.slice(from, from + limit);
  }

  /** The version of the next bundle. */
  get nextVersion(): number {
    return Math.max((this.last?.entry.version ?? 0) + 1, this.#least);
  }
}

export const sameSigners = (a: Standing['signers'] | undefined, b: Standing['signers']): boolean =>
  a !== undefined && signersText(a) === signersText(b);
const signersText = (signers: Standing['signers']): string =>
  canonicalJson(signers.map(({ spki, from, until }) => [spkiSha256(spki), from, until]) as JsonValue);

type Facts = Pick<Entry, 'fleet' | 'version' | 'issuedAt' | 'expires' | 'filter' | 'ends'>;

/** The content of a bundle from its parts. */
export const contentOf = (
  standing: Standing,
  { fleet, version, issuedAt, expires, filter, ends }: Facts,
): BundleContent => ({
  ...{ v: 1, fleet, version, issuedAt, expires },
  ...withEnds(standing, ends, issuedAt),
  filterSha256: filter?.sha256 ?? null,
});

/** A bundle in both of its forms. */
export interface BundleForms {
  readonly bundle: Uint8Array;
  /** SHA-256 of what is signed in it, hex. */
  readonly sha256: string;
  readonly jws: string;
}

/** The very bytes that were signed: what is encoded has one encoding, and the signatures were kept. */
export async function formsOf({ entry, change }: KeptBundle): Promise<BundleForms> {
  const content = contentOf(change.standing, entry);
  const spki = fromBase64(entry.signer) as DerSpki;
  const bundle = await signBundle(content, kept(spki, entry.signature));
  return { bundle, sha256: bundleSha256(bundle), jws: await signBundleJws(content, kept(spki, entry.jws)) };
}

export const bundleSha256 = (bundle: Uint8Array): string => toHex(sha256(parseBundle(bundle).signed));

/** A signer whose signature was made before. */
function kept(spki: DerSpki, signature: string): Signer {
  const found = checkPublicKey(spki, SIGNER_ALGORITHMS);
  const keyAlgorithm = SIGNER_ALGORITHMS.find((one) => one === found) ?? 'P-256';
  return {
    keyAlgorithm,
    signatureAlgorithm: SIGNATURE_OF[keyAlgorithm],
    spki,
    sign: async () => fromBase64(signature),
  };
}

/** What a device knows that goes by this bundle: the next one is judged by it before it leaves keyd. */
export async function stateAfter(last: KeptBundle): Promise<TrustState> {
  const { fleet, version } = last.entry;
  const { signers, firmware } = last.change.standing;
  return { fleet, version, sha256: (await formsOf(last)).sha256, signers, firmware };
}
