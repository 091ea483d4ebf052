import { KeysteadError } from '@keystead/core/errors';
import { z } from 'zod';
import type { RenewalWindow } from '../renewal/index.ts';
import { askServer } from './device-api.ts';
import type { DeviceTls } from './device-tls.ts';

const time = z.iso.datetime().transform((text) => new Date(text));
/** What else the answer says is for people. */
const Info = z.object({
  suggestedWindow: z
    .strictObject({ start: time, end: time })
    .refine(({ start, end }) => start.getTime() <= end.getTime(), 'must not end before it starts')
    .nullable(),
});

/**
 * Asks in which window the server would have the device's LDevID renewed: a rotation is under way (docs/rotation.md).
 * REQ-KEY-ROT-02
 * @param server `https://host:port`.
 * @throws KeysteadError `renewal.info-refused`, `peer.unreachable`, `peer.refused`, `state.*`.
 */
export async function renewalInfo(tls: DeviceTls, server: string, pin?: string): Promise<RenewalWindow | undefined> {
  const wanted = { method: 'GET', path: '/api/v1/device/renewal-info' } as const;
  const { status, body } = await askServer(tls, server, wanted, { pin });
  if (status !== 200) throw new KeysteadError('renewal.info-refused', { field: 'status', seen: `HTTP ${status}` });
  const told = Info.safeParse(jsonOf(body));
  if (told.success) return told.data.suggestedWindow ?? undefined;
  const [issue] = told.error.issues;
  throw new KeysteadError('renewal.info-refused', { field: issue?.path.join('.') || 'body', seen: issue?.message });
}

function jsonOf(body: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(body).toString('utf8'));
  } catch {
    return undefined;
  }
}
