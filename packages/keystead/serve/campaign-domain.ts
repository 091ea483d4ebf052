import { KeysteadError } from '@keystead/core/errors';
import type { Permission } from '@keystead/core/lifecycle';
import { actorOf, type OperatorClient } from '../access/index.ts';
import type { CampaignDomain } from '../protocols/rest/campaigns.ts';
import type { Caller } from '../protocols/rest/domain.ts';
import { type AskedBy, suggestedWindow } from '../rotation/index.ts';
import type { Rooms } from './rooms.ts';

/** REST's view of rotation campaigns. */
export function campaignDomain(
  { campaigns, access, store }: Pick<Rooms, 'campaigns' | 'access' | 'store'>,
  operator: (caller: Caller, permission: Permission, what: string) => Promise<OperatorClient>,
): CampaignDomain {
  const manager = async (caller: Caller, what: string): Promise<AskedBy> => ({
    actor: actorOf(await operator(caller, 'rotation.manage', what)),
    requestId: caller.requestId,
  });

  return {
    async campaigns(caller) {
      await operator(caller, 'rotation.read', 'list rotations');
      return { campaigns: campaigns.list() };
    },
    async planCampaign(caller, plan) {
      return campaigns.plan(plan, await manager(caller, 'plan a rotation'));
    },
    async campaign(caller, id) {
      await operator(caller, 'rotation.read', 'show a rotation');
      return campaigns.show(id);
    },
    async dryRunCampaign(caller, id) {
      await operator(caller, 'rotation.read', 'dry run of a rotation');
      return campaigns.dryRun(id);
    },
    async stepCampaign(caller, id, step, unproven) {
      const by = await manager(caller, `${step} a rotation`);
      return step === 'advance' ? campaigns.advance(id, by, unproven) : campaigns[step](id, by);
    },
    async reasonedCampaign(caller, id, step, reason) {
      const by = await manager(caller, `${step} a rotation`);
      return step === 'roll-back' ? campaigns.rollBack(id, reason, by) : campaigns[step](id, reason, by);
    },
    async insistOnCampaign(caller, id, statements) {
      return campaigns.insist(id, statements, await manager(caller, 'insist on a rotation'));
    },
    async reportFailedDevice(caller, id, deviceId, reason) {
      return campaigns.reportFailure(id, deviceId, reason, await manager(caller, 'report a failed device'));
    },
    async renewalInfo(caller) {
      const asked = { requestId: caller.requestId, what: 'renewal info' };
      const client = await access.identify(caller.certificate, asked);
      if (client.kind !== 'device') {
        const error = new KeysteadError('access.forbidden', { field: 'client', seen: client.kind });
        await access.refused(error, asked, client);
        throw error;
      }
      return store.read((records) => {
        const issuedAt = records.certificate(client.issuer, client.serial)?.issuedAt;
        const window =
          issuedAt === undefined ? undefined : suggestedWindow(records, client.id, { ...client, issuedAt });
        if (window === undefined) return { suggestedWindow: null };
        const { start, end, campaign, reason } = window;
        return { suggestedWindow: { start: start.toISOString(), end: end.toISOString() }, campaign, reason };
      });
    },
  };
}
