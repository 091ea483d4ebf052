import type { StandingJson } from '@keystead/core/trust';
import type { EndingPinView } from '../bundles/index.ts';
import { table } from './operator.ts';

export interface BundleView {
  readonly version: number;
  readonly sha256: string;
  readonly issuedAt: string;
  readonly expires: string;
  readonly filterSha256: string | null;
  readonly change: number;
  readonly signersChanged: boolean;
}

/** What `GET /api/v1/trust` tells. */
export interface TrustView {
  readonly fleet: string;
  readonly changes: number;
  readonly urgent: boolean;
  readonly keys: readonly { id: string; algorithm: string; spki: string | null; refused: string | null }[];
  readonly latest: (BundleView & { readonly bundle: string; readonly jws: string; readonly signer: string }) | null;
  readonly content: StandingJson | null;
  readonly filterDate: string | null;
  readonly refreshAt: string | null;
  readonly filterAt: string | null;
  readonly endingPins: readonly EndingPinView[];
  readonly published: { readonly latest: number; readonly signerChanges: readonly number[] } | null;
  readonly uptake: readonly { bundleVersion: number | null; devices: number }[];
}

/** How it stands with the trust bundles, for people. REQ-KEY-REV-04, REQ-KEY-ROT-03 */
export function statusTable(view: TrustView): string {
  const { latest, published } = view;
  const rows: string[][] = [['fleet', view.fleet]];
  if (latest === null) rows.push(['bundle', 'none yet: keystead trust propose']);
  else {
    rows.push(['bundle', `${latest.version}, since ${latest.issuedAt}, until ${latest.expires}`]);
    rows.push([
      'published',
      published?.latest === latest.version ? 'yes' : `${published?.latest ?? 'none'}: see serve.log`,
    ]);
    rows.push(['content', `change ${latest.change}`]);
    rows.push(['signed by', latest.signer]);
    rows.push(['filter', latest.filterSha256 === null ? 'none' : `${latest.filterSha256}, of ${view.filterDate}`]);
    rows.push(['next', view.urgent ? 'now: something was revoked' : (view.filterAt ?? view.refreshAt ?? 'never')]);
  }
  for (const { level, role, keys, why } of view.endingPins)
    rows.push([level, `pin ${role} (${keys.map((key) => key.slice(0, 16)).join(', ')}): ${why}`]);
  for (const { id, algorithm, refused } of view.keys) rows.push(['key', `${id}, ${algorithm}: ${refused ?? 'signs'}`]);
  for (const { bundleVersion, devices } of view.uptake)
    rows.push(['devices', `${devices} with ${bundleVersion === null ? 'no bundle' : `bundle ${bundleVersion}`}`]);
  return table(rows);
}
