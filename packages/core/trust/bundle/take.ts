import type { DerSpki } from '../../bytes/index.ts';
import { toHex } from '../../bytes/index.ts';
import { sha256, spkiSha256 } from '../../crypto/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import { requireFirmwareForward } from './change.ts';
import type { BundleContent } from './content.ts';
import { parseBundle, requireSignature } from './cose.ts';
import { checkContent, isIn } from './rules.ts';

/** What a device keeps of the bundle that it goes by, and was made with at the factory. */
export interface TrustState {
  readonly fleet: string;
  /** 0 before the first bundle. */
  readonly version: number;
  /** SHA-256 of the bundle's content as it is signed, hex; empty before the first. */
  readonly sha256: string;
  readonly signers: readonly { readonly spki: DerSpki; readonly from: number; readonly until: number }[];
  readonly firmware: readonly { readonly product: string; readonly minimumSecurityCounter: number }[];
}

export interface TakenBundle {
  readonly content: BundleContent;
  /** To be durable before the content is gone by. */
  readonly state: TrustState;
  /** Whether it is the one that the device goes by already. */
  readonly repeated: boolean;
}

/** A device's clock may be behind by this much. */
export const CLOCK_SKEW_SECONDS = 300;

/**
 * Judges bundles by what a device knows already, each by the one before it: signed by a key that the one before names, in
 * that key's time; for this fleet; newer than the one before. The last must be in its own time. Whoever was away while
 * the signers changed needs those in which they did: they may have expired, since only their signers are gone by. Never
 * goes back: not to an older bundle, not to an older minimum of firmware, not to another bundle of the same number.
 * REQ-KEY-REV-04
 * @param bundles the oldest first; one is the usual.
 * @throws KeysteadError `trust-bundle.*`, `key.*`, `cert.*`; the device goes on by what it has then.
 */
export function takeBundles(bundles: readonly Uint8Array[], known: TrustState, now: Date): TakenBundle {
  let taken: TakenBundle | undefined;
  for (const bytes of bundles) taken = passBundle(bytes, taken?.state ?? known, now);
  if (taken === undefined) throw refused('expired', 'bundles', 'none');
  requireCurrent(taken.content, now);
  return taken;
}

/**
 * The same for one on the way to another, which is judged by its state: it may have expired. A device that fetches many
 * judges each when it comes. Nothing is to be gone by it.
 */
export const passBundle = (bytes: Uint8Array, known: TrustState, now: Date): TakenBundle =>
  judge(bytes, known, Math.floor(now.getTime() / 1000));

/** The same for one. */
export const takeBundle = (bytes: Uint8Array, known: TrustState, now: Date): TakenBundle =>
  takeBundles([bytes], known, now);

function judge(bytes: Uint8Array, known: TrustState, at: number): TakenBundle {
  const bundle = parseBundle(bytes);
  const signer = known.signers.find(({ spki }) => spkiSha256(spki) === bundle.signer);
  if (signer === undefined) throw refused('signer-unknown', 'signer', bundle.signer);
  requireSignature(bundle, signer.spki);
  const { content } = bundle;
  // By now as well: a key whose time is over could say that it signed in time.
  if (!isIn(signer, content.issuedAt) || !(at < signer.until)) throw refused('signer-retired', 'signer', bundle.signer);
  if (content.fleet !== known.fleet) throw refused('fleet-differs', 'fleet', content.fleet);
  const hash = toHex(sha256(bundle.signed));
  if (content.version < known.version) {
    throw refused('rolled-back', 'version', `${content.version}, after ${known.version}`);
  }
  const repeated = content.version === known.version;
  if (repeated && hash !== known.sha256) throw refused('forked', 'version', `another bundle ${content.version}`);
  requireIssued(content, at);
  checkContent(content);
  requireFirmwareForward(known, content);
  const { fleet, version, signers, firmware } = content;
  return { content, state: { fleet, version, sha256: hash, signers, firmware }, repeated };
}

/**
 * Whether a device may still go by its bundle.
 * @throws KeysteadError `trust-bundle.expired`: nothing is believed until a newer one is there; `trust-bundle.not-yet-valid`
 *   by a clock that is further behind than clocks may be: the bundle was taken later than that.
 */
export function requireCurrent({ issuedAt, expires }: Pick<BundleContent, 'issuedAt' | 'expires'>, now: Date): void {
  if (!(now.getTime() < expires * 1000)) throw refused('expired', 'expires', iso(expires));
  requireIssued({ issuedAt }, Math.floor(now.getTime() / 1000));
}

function requireIssued({ issuedAt }: Pick<BundleContent, 'issuedAt'>, at: number): void {
  if (issuedAt <= at + CLOCK_SKEW_SECONDS) return;
  throw refused('not-yet-valid', 'issuedAt', iso(issuedAt));
}

type Why =
  | 'signer-unknown'
  | 'signer-retired'
  | 'fleet-differs'
  | 'rolled-back'
  | 'forked'
  | 'not-yet-valid'
  | 'expired';

const refused = (why: Why, field: string, seen: string): KeysteadError =>
  new KeysteadError(`trust-bundle.${why}`, { field, seen });

const iso = (seconds: number): string => new Date(seconds * 1000).toISOString();
