import { toBase64 } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import type { Permission } from '@keystead/core/lifecycle';
import { actorOf, type OperatorClient } from '../access/index.ts';
import { endingPinsOf, endingPinView } from '../bundles/index.ts';
import type { Caller } from '../protocols/rest/domain.ts';
import type { TrustDomain } from '../protocols/rest/trust.ts';
import type { TrustBundleRow, UptakeRow } from '../store/index.ts';
import type { Rooms } from './rooms.ts';

/** REST's view of trust bundles. */
export function trustDomain(
  rooms: Pick<Rooms, 'access' | 'keyd' | 'bundles' | 'uptake' | 'clock' | 'policy'>,
  operator: (caller: Caller, permission: Permission, what: string) => Promise<OperatorClient>,
): TrustDomain {
  const { access, keyd, bundles, uptake, clock } = rooms;
  return {
    async trustStatus(caller) {
      await operator(caller, 'trust.read', 'show trust bundles');
      const { latest, content, keys, orders, filterDate, refreshAt, filterAt, ...standing } = await keyd.trustStatus();
      return {
        ...standing,
        keys: keys.map(({ spki, ...key }) => ({ ...key, spki: spki === null ? null : toBase64(spki) })),
        latest:
          latest === null
            ? null
            : {
                ...latest,
                bundle: toBase64(latest.bundle),
                issuedAt: latest.issuedAt.toISOString(),
                expires: latest.expires.toISOString(),
              },
        content: content === null ? null : (JSON.parse(content) as unknown),
        orders: orders.map(({ at, ...order }) => ({ ...order, at: at.toISOString() })),
        filterDate: filterDate?.toISOString() ?? null,
        refreshAt: refreshAt?.toISOString() ?? null,
        filterAt: filterAt?.toISOString() ?? null,
        endingPins: endingPinsOf(content, rooms.policy, clock.now()).map(endingPinView),
        published: bundles.index(),
        uptake: uptake.byVersion(),
      };
    },
    async publishTrustBundle(caller, statements) {
      const client = await operator(caller, 'trust.publish', 'publish trust bundle');
      return bundleView(await bundles.publish(statements, { actor: actorOf(client), requestId: caller.requestId }));
    },
    async reportUptake(caller, report) {
      const asked = { requestId: caller.requestId, what: 'report uptake' };
      const client = await access.identify(caller.certificate, asked);
      if (client.kind !== 'device') {
        const error = new KeysteadError('access.forbidden', {
          field: 'device',
          seen: `${client.id}: a ${client.kind}`,
        });
        await access.refused(error, asked, client);
        throw error;
      }
      await uptake.report(client.id, report);
    },
  };
}

const bundleView = ({ issuedAt, expiresAt, publishedAt, signersChanged, ...row }: TrustBundleRow) => ({
  ...row,
  signersChanged: signersChanged === 1,
  issuedAt: new Date(issuedAt).toISOString(),
  expires: new Date(expiresAt).toISOString(),
  publishedAt: new Date(publishedAt).toISOString(),
});

/** What a device said last that it goes by, as it said it; null for one that never did. REQ-KEY-ROT-02 */
export function uptakeView(row: UptakeRow | undefined) {
  if (row === undefined) return null;
  const { bundleVersion: version, bundleSha256: sha256, filterSha256: filter, reportedAt } = row;
  const { firmwareProduct: product, firmwareVersion, securityCounter } = row;
  return {
    bundle: version === null || sha256 === null ? null : { version, sha256 },
    filter,
    firmware: product === null ? null : { product, version: firmwareVersion, securityCounter },
    reportedAt: new Date(reportedAt).toISOString(),
  };
}
