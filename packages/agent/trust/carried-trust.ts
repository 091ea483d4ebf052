import type { DerCertificate, DerSpki, SpkiSha256 } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import {
  type AnchorRole,
  type BundleContent,
  CarriedFilter,
  isPinned,
  parseBundle,
  type TrustState,
} from '@keystead/core/trust';
import type { DeviceState, HeldTrust } from '../state/index.ts';
import type { PeerRules } from '../tls/index.ts';

/** What of a peer's rules comes from the trust bundle. */
export type BundleRules = Pick<PeerRules, 'anchors' | 'filter' | 'pin' | 'until'>;

/** What the device is made with in the factory: whose bundles it takes, and who signs the first. */
export function factoryTrust(
  fleet: string,
  signers: readonly { readonly spki: DerSpki; readonly from: Date; readonly until: Date }[],
): HeldTrust {
  const seconds = (time: Date): number => Math.floor(time.getTime() / 1000);
  const windows = signers.map(({ spki, from, until }) => ({ spki, from: seconds(from), until: seconds(until) }));
  const state: TrustState = { fleet, version: 0, sha256: '', signers: windows, firmware: [] };
  return { state, filters: [], provenTime: 0 };
}

/**
 * The bundle that a device goes by, opened, with the filter that it names. Both were judged when they were taken, and are
 * known by their hashes in the sealed state. REQ-KEY-REV-04, REQ-KEY-ROT-03
 */
export class CarriedTrust {
  readonly content: BundleContent;
  readonly filter: CarriedFilter | undefined;

  constructor(content: BundleContent, filter: CarriedFilter | undefined) {
    this.content = content;
    this.filter = filter;
  }

  /**
   * Opens what the state holds; undefined before the first bundle.
   * @throws KeysteadError `state.damaged` for files that are not those of the manifest: to be fetched again.
   */
  static open(state: DeviceState): CarriedTrust | undefined {
    const held = state.trust;
    if (held?.bundle === undefined) return undefined;
    const { content } = parseBundle(state.readBundle(held.bundle));
    const [base, ...deltas] = held.filters.map((hash) => state.readFilter(hash));
    if (
      (base === undefined) !== (content.filterSha256 === null) ||
      content.filterSha256 !== (held.filters.at(-1) ?? null)
    )
      throw new KeysteadError('state.damaged', { field: 'filter', seen: 'another than the bundle names' });
    return new CarriedTrust(content, base === undefined ? undefined : CarriedFilter.open(base, deltas));
  }

  /** From then on nothing is believed by it. */
  get expires(): Date {
    return new Date(this.content.expires * 1000);
  }

  /** The anchors that are good for a role at a time. */
  anchors(role: AnchorRole, now: Date): DerCertificate[] {
    const at = now.getTime() / 1000;
    return this.content.anchors
      .filter((anchor) => anchor.role === role && anchor.from <= at && at < anchor.until)
      .map(({ certificate }) => certificate);
  }

  /**
   * The rules by which a peer is judged, where the bundle has a say: its anchors, its end, the filter, and the pins under
   * `pin`. A name without pins in the bundle is not pinned: the bundle's signers decide what is.
   */
  rules(role: AnchorRole, now: Date, pin?: string): BundleRules {
    const isGood = (key: SpkiSha256): boolean => isPinned(this.content, pin ?? '', key, now) ?? true;
    return {
      anchors: this.anchors(role, now),
      until: this.expires,
      ...(this.filter === undefined ? {} : { filter: this.filter }),
      ...(pin === undefined ? {} : { pin: { name: pin, isGood } }),
    };
  }
}
