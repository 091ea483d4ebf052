import { KeysteadError } from '@keystead/core/errors';
import { parseRotationOrder, type RotationOrder } from '@keystead/core/lifecycle';
import type { CutOff, DryRun } from './report.ts';

/**
 * The devices that an order gives up: all that a dry run of now names, or those of them that it names itself. What was
 * signed for other devices than these is worth nothing.
 * @throws KeysteadError `rotation-order.other-order`.
 */
export function givenUp({ only, devices, devicesSha256 }: RotationOrder, run: DryRun): readonly CutOff[] {
  const { cutOff } = run;
  const differs = (field: string, seen: string) => new KeysteadError('rotation-order.other-order', { field, seen });
  if (only === undefined) {
    if (devicesSha256 === run.devicesSha256 && devices === cutOff.length) return cutOff;
    throw differs('order.devicesSha256', `${devices} devices, where ${cutOff.length} are cut off now`);
  }
  const named = new Set(only);
  const found = cutOff.filter(({ deviceId }) => named.delete(deviceId));
  const [other] = named;
  if (other === undefined) return found;
  throw differs('order.only', `${other}, which would not be cut off now`);
}

/** What a campaign keeps of those who insisted: every statement once, the first ones first. */
export const withStatements = (kept: string | null, statements: readonly string[]): string =>
  JSON.stringify([...new Set([...read(kept), ...statements])]);

/** Who signed them, each once. */
export const signersOf = (kept: string | null): string[] => [
  ...new Set(read(kept).map((text) => parseRotationOrder(text).signer)),
];

const read = (kept: string | null): string[] => (kept === null ? [] : (JSON.parse(kept) as string[]));
