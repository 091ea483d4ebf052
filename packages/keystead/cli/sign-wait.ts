import { setTimeout as pause } from 'node:timers/promises';
import { KeysteadError } from '@keystead/core/errors';
import type { RestClient } from '../client/rest.ts';
import { systemClock } from '../clock/system.ts';
import type { RequestView } from '../signing/index.ts';

export const REQUESTS = '/api/v1/signing/requests';
const LOOK_EVERY_MS = 500;
const LOOK_SELDOM_MS = 5000;
/** So long it is looked often: most of what is waited for by a program is nearly done. */
const OFTEN_MS = 30_000;

export const lookUp = (client: RestClient, id: string): Promise<RequestView> =>
  client.get<RequestView>(`${REQUESTS}/${encodeURIComponent(id)}`);

/**
 * Looks a request up until it is signed, and tells how far it is.
 * @throws KeysteadError `signing.ended-unsigned`, `signing.still-waiting` after `seconds`.
 */
export async function waitFor(client: RestClient, id: string, seconds: number, quiet: boolean): Promise<RequestView> {
  const began = systemClock.now().getTime();
  let told = '';
  for (;;) {
    const view = await lookUp(client, id);
    if (view.state === 'signed') return view;
    requireAlive(view);
    const passed = systemClock.now().getTime() - began;
    const so = progressOf(view);
    if (!quiet && so !== told) process.stderr.write(`${so}\n`);
    told = so;
    if (passed >= seconds * 1000) throw new KeysteadError('signing.still-waiting', { field: id, seen: so });
    await pause(passed < OFTEN_MS ? LOOK_EVERY_MS : LOOK_SELDOM_MS);
  }
}

/** @throws KeysteadError `signing.ended-unsigned`. */
export function requireAlive({ id, state, refusal }: RequestView): void {
  if (state !== 'refused' && state !== 'expired' && state !== 'withdrawn') return;
  throw new KeysteadError('signing.ended-unsigned', {
    field: id,
    seen: refusal === null ? state : `${state}: ${refusal}`,
  });
}

/** How far a request is, in a few words. */
export function progressOf({ id, state, approvers, needed, expiresAt, late }: RequestView): string {
  switch (state) {
    case 'draft':
      return `${id}: a draft; a release engineer signs that they ask for it`;
    case 'waiting':
      return `${id}: ${approvers.length} of ${needed ?? '?'} approvals, until ${expiresAt}`;
    case 'approved':
      return `${id}: approved; ${late === null ? 'keyd is asked' : `not signed yet: ${late}`}`;
    default:
      return `${id}: ${state}`;
  }
}
