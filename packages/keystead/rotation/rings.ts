import { sha256 } from '@keystead/core/crypto';
import type { RingCount } from '../store/index.ts';
import type { Plan, Ring } from './plan.ts';

/** What decides in which ring a device is. */
export interface RingMember {
  readonly deviceId: string;
  readonly model: string;
  readonly batch: string;
}

/**
 * The ring of a device, counted from 1: the first one whose criterion takes it, or the last one with the rest. A share is
 * drawn from the hash of campaign and device, so that it is the same each time and another in every campaign: the same
 * devices are not always the first.
 */
export function ringOf({ id, rings }: Pick<Plan, 'id' | 'rings'>, member: RingMember): number {
  const drawn = fraction(`ring ${id} ${member.deviceId}`);
  const index = rings.findIndex((ring, at) => takes(ring, member, drawn, sharesBefore(rings, at)));
  return (index === -1 ? rings.length : index) + 1;
}

function takes(ring: Ring, { deviceId, model, batch }: RingMember, drawn: number, before: number): boolean {
  if ('share' in ring) return drawn >= before && drawn < before + ring.share;
  if ('products' in ring) return ring.products.includes(model);
  if ('batches' in ring) return ring.batches.includes(batch);
  return ring.devices.includes(deviceId);
}

const sharesBefore = (rings: readonly Ring[], at: number): number =>
  rings.slice(0, at).reduce((sum, ring) => sum + ('share' in ring ? ring.share : 0), 0);

/** From 0 on and before 1, the same for the same text. */
function fraction(text: string): number {
  const hash = sha256(Buffer.from(text, 'utf8'));
  return new DataView(hash.buffer, hash.byteOffset).getUint32(0) / 2 ** 32;
}

/** What a ring lacks before the next one may open. */
export type RingVerdict =
  | { readonly verdict: 'moved' }
  | { readonly verdict: 'waits'; readonly seen: string }
  | { readonly verdict: 'nobody'; readonly seen: string }
  | { readonly verdict: 'failed'; readonly seen: string };

/**
 * Whether a ring has moved, within the limits of the plan. An empty one has, and one that a quorum gave up. One that had
 * devices, of which none is left to move, has shown nothing: that is for people to look at. In an emergency nothing is
 * waited for that cannot come. REQ-KEY-ROT-02
 */
export function verdictOf(
  { uptakeShare, mostFailures, emergency }: Plan,
  count: Pick<RingCount, 'devices' | 'done' | 'failed' | 'lost'> | undefined,
): RingVerdict {
  const { devices, done, failed, lost } = count ?? { devices: 0, done: 0, failed: 0, lost: 0 };
  if (failed > mostFailures) {
    return { verdict: 'failed', seen: `${failed} of ${devices} devices failed, where ${mostFailures} may` };
  }
  if (devices === 0 && lost > 0 && !emergency) {
    return { verdict: 'nobody', seen: `none of its devices has moved, and of ${lost} nothing is expected any more` };
  }
  if (done >= uptakeShare * devices) return { verdict: 'moved' };
  return { verdict: 'waits', seen: `${done} of ${devices} devices have moved, where ${uptakeShare} of them must` };
}
