import { createInterface } from 'node:readline/promises';
import { setTimeout as pause } from 'node:timers/promises';
import { KeysteadError } from '@keystead/core/errors';
import type { RestClient } from '../client/rest.ts';
import type { OperatorOptions } from './operator.ts';
import { type ActAnswer, censusText, type Shown } from './revoke-text.ts';

/** More than these are no slip of the hand: they are confirmed, and so is every batch and every CA. */
export const LARGE = 10;
const LOOK_EVERY_MS = 500;
export const REQUESTS = '/api/v1/revocation-requests';

/** Looks a large act up until it is done, and tells how far it is. */
export async function finished(client: RestClient, first: ActAnswer, options: OperatorOptions): Promise<ActAnswer> {
  let view = first;
  while (view.state === 'running') {
    if (options.json !== true && process.stderr.isTTY) {
      process.stderr.write(`\r${view.certificates} certificates, ${view.devices} devices so far`);
    }
    await pause(LOOK_EVERY_MS);
    view = await client.get<ActAnswer>(`${REQUESTS}/${view.id}`);
  }
  return view;
}

/** @throws KeysteadError `revocation.unconfirmed`. */
export async function confirm(census: Shown, { yes }: { yes?: boolean }): Promise<void> {
  const { certificates: many, selector } = census;
  const large = many > LARGE || selector.kind === 'batch' || selector.kind === 'ca';
  if (!large || yes === true) return;
  process.stderr.write(`${censusText(census)}\n`);
  if (!process.stdin.isTTY) throw new KeysteadError('revocation.unconfirmed', { field: '--yes', seen: `${many}` });
  const asking = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const typed = await asking.question(`Type the number of certificates to go on: `);
    if (typed.trim() === String(many)) return;
    throw new KeysteadError('revocation.unconfirmed', { field: 'number', seen: typed.slice(0, 20) });
  } finally {
    asking.close();
  }
}

/** Tells people `text`, and programs `value`. */
export const print = (options: OperatorOptions, value: unknown, text: string): void => {
  process.stdout.write(options.json === true ? `${JSON.stringify(value, null, 2)}\n` : `${text}\n`);
};
