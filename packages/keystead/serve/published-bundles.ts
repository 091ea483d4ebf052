import type { BundlePublisher } from '../bundles/index.ts';
import type { PublishedBundles, RotationDeps } from '../rotation/index.ts';

/** Campaigns' view of the published bundles: by the hash that devices report (`takeBundle`). */
export function publishedBundles(bundles: BundlePublisher): PublishedBundles {
  const version: PublishedBundles['version'] = (number) => bundles.standingNow(number);
  return {
    version,
    latest() {
      const last = bundles.last();
      return last === undefined ? undefined : version(last.version);
    },
  };
}

/** Campaigns' view of what a device reported last. */
export const reportedUptake: RotationDeps['uptakeOf'] = ({ uptake }, deviceId) => {
  const row = uptake.of(deviceId);
  if (row === undefined) return undefined;
  const { bundleVersion: version, bundleSha256: sha256, securityCounter, reportedAt } = row;
  return {
    bundle: version === null || sha256 === null ? undefined : { version, sha256 },
    securityCounter: securityCounter ?? undefined,
    reportedAt,
  };
};
