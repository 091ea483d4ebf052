import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import type { Reading } from './authorisations.ts';
import type { Caller } from './caller.ts';
import { checkBody } from './schemas.ts';

const name = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, '1 to 64 letters, digits, . _ -');
const Id = z.strictObject({ id: name });
/** The plan is the domain's to check: its refusals name its own fields. */
const Plan = z.strictObject({ plan: z.record(z.string(), z.unknown()) });
const Reason = z.strictObject({ reason: z.string().min(1).max(500) });
const Nothing = z.strictObject({});
/** Why it goes on although nobody of the newest ring is left to move. */
const Advance = z.strictObject({ unproven: z.string().min(1).max(500).optional() });
const Failure = z.strictObject({ device: name, reason: z.string().min(1).max(200) });
const Insist = z.strictObject({
  /** As the operators' own keys signed them, the proposal first. */
  statements: z.array(z.string().min(1).max(20_480)).min(1).max(17),
});

/** The steps of a campaign that take a reason. */
export const REASONED_STEPS = ['pause', 'resume', 'roll-back', 'abort'] as const;
export type ReasonedStep = (typeof REASONED_STEPS)[number];
/** Those that take none. */
export const PLAIN_STEPS = ['start', 'advance', 'retire'] as const;
export type PlainStep = (typeof PLAIN_STEPS)[number];

/** What these routes need of the domain. */
export interface CampaignDomain {
  campaigns(caller: Caller): Promise<unknown>;
  planCampaign(caller: Caller, plan: unknown): Promise<unknown>;
  campaign(caller: Caller, id: string): Promise<unknown>;
  dryRunCampaign(caller: Caller, id: string): Promise<unknown>;
  /** @param unproven of `advance`: why it goes on although nobody of the newest ring is left to move. */
  stepCampaign(caller: Caller, id: string, step: PlainStep, unproven?: string): Promise<unknown>;
  reasonedCampaign(caller: Caller, id: string, step: ReasonedStep, reason: string): Promise<unknown>;
  insistOnCampaign(caller: Caller, id: string, statements: string[]): Promise<unknown>;
  reportFailedDevice(caller: Caller, id: string, deviceId: string, reason: string): Promise<unknown>;
  /** When the device that calls should renew the certificate by which it calls. */
  renewalInfo(caller: Caller): Promise<unknown>;
}

/** How long a device waits before it asks again, seconds (as RFC 9773 section 4.3). */
const RETRY_SECONDS = 6 * 3600;

/** Rotation campaigns, and what they ask of a device. REQ-KEY-ROT-02, REQ-KEY-ROT-03 */
export function campaignRoutes(api: FastifyInstance, domain: CampaignDomain, { read, caller }: Reading): void {
  api.get('/campaigns', (request) => domain.campaigns(caller(request)));
  api.post('/campaigns', async (request) => {
    const { plan } = await read(request, () => checkBody(Plan, request.body));
    return domain.planCampaign(caller(request), plan);
  });
  api.get('/campaigns/:id', async (request) => {
    const { id } = await read(request, () => checkBody(Id, request.params));
    return domain.campaign(caller(request), id);
  });
  api.get('/campaigns/:id/dry-run', async (request) => {
    const { id } = await read(request, () => checkBody(Id, request.params));
    return domain.dryRunCampaign(caller(request), id);
  });
  for (const step of PLAIN_STEPS) {
    api.post(`/campaigns/:id/${step}`, async (request) => {
      const { id } = await read(request, () => checkBody(Id, request.params));
      const { unproven } = await read(
        request,
        (): z.output<typeof Advance> => checkBody(step === 'advance' ? Advance : Nothing, request.body ?? {}),
      );
      return domain.stepCampaign(caller(request), id, step, unproven);
    });
  }
  for (const step of REASONED_STEPS) {
    api.post(`/campaigns/:id/${step}`, async (request) => {
      const { id } = await read(request, () => checkBody(Id, request.params));
      const { reason } = await read(request, () => checkBody(Reason, request.body));
      return domain.reasonedCampaign(caller(request), id, step, reason);
    });
  }
  api.post('/campaigns/:id/insistence', async (request) => {
    const { id } = await read(request, () => checkBody(Id, request.params));
    const { statements } = await read(request, () => checkBody(Insist, request.body));
    return domain.insistOnCampaign(caller(request), id, statements);
  });
  api.post('/campaigns/:id/failures', async (request) => {
    const { id } = await read(request, () => checkBody(Id, request.params));
    const { device, reason } = await read(request, () => checkBody(Failure, request.body));
    return domain.reportFailedDevice(caller(request), id, device, reason);
  });
  api.get('/device/renewal-info', async (request, reply) => {
    const info = await domain.renewalInfo(caller(request));
    return reply.header('Retry-After', RETRY_SECONDS).send(info);
  });
}

/** As `GET /api/v1` tells of them: method, path, permission. */
export const CAMPAIGN_ROUTES = [
  ['GET', '/api/v1/campaigns', 'rotation.read'],
  ['POST', '/api/v1/campaigns {plan}', 'rotation.manage'],
  ['GET', '/api/v1/campaigns/:id', 'rotation.read'],
  ['GET', '/api/v1/campaigns/:id/dry-run', 'rotation.read'],
  ...PLAIN_STEPS.map(
    (step) =>
      ['POST', `/api/v1/campaigns/:id/${step}${step === 'advance' ? ' {unproven}' : ''}`, 'rotation.manage'] as const,
  ),
  ...REASONED_STEPS.map((step) => ['POST', `/api/v1/campaigns/:id/${step} {reason}`, 'rotation.manage'] as const),
  ['POST', '/api/v1/campaigns/:id/insistence {statements}', 'rotation.manage, and the quorum of ca-rotation'],
  ['POST', '/api/v1/campaigns/:id/failures {device, reason}', 'rotation.manage'],
  ['GET', '/api/v1/device/renewal-info', '(the certificate of a device)'],
] as const;
