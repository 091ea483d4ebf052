import type { Reader } from '../store/index.ts';
import { planOfRow } from './view.ts';

/**
 * The algorithm that a campaign would have in the next key of a device, for certificates of a profile; undefined where none
 * asks. It is asked of the rings that are open, and of a device that has moved for as long as the campaign lasts: else its
 * next renewal would take it back. A campaign that was taken back asks nothing. REQ-KEY-ROT-02
 */
export function wantedAlgorithm(records: Reader, deviceId: string, profile: string): string | undefined {
  const asking = records.rotation
    .algorithmsOf(deviceId)
    .find(({ target, state, doneAt }) => target === profile && (state !== 'paused' || doneAt !== null));
  return asking === undefined ? undefined : planOfRow(asking).algorithm;
}
