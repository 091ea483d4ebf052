import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type BatchTicketDraft, signTicket } from '@keystead/core/lifecycle';
import { durableWrite } from '../files/durable.ts';
import { personSigner } from './operators.ts';
import type { World } from './world.ts';

const VALID_MS = 30 * 86_400_000;

/**
 * The ticket of a batch, signed by the PKI operator and opened at the factory. It is signed once and kept: a later
 * start opens the very same one again, which changes nothing.
 */
export async function openTicket(
  world: World,
  batch: Pick<BatchTicketDraft, 'id' | 'model' | 'quota' | 'deviceIds'> & { line: string },
): Promise<void> {
  const { layout, clock, passphrases } = world;
  const directory = join(layout.data, 'tickets');
  const path = join(directory, `${batch.id}.json`);
  if (!existsSync(path)) {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    const { id, model, quota, deviceIds, line } = batch;
    const now = clock.now();
    const validity = { notBefore: now.toISOString(), notAfter: new Date(now.getTime() + VALID_MS).toISOString() };
    const draft: BatchTicketDraft = { id, model, quota, ...validity, lines: [line], deviceIds, profile: 'idevid' };
    durableWrite(path, await signTicket(draft, 'pki', personSigner(layout, 'pki', passphrases.operators)), 0o644);
  }
  await world.as('pki').post('/api/v1/batches', { ticket: readFileSync(path, 'utf8') });
}
