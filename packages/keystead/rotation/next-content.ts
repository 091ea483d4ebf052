import { type DerCertificate, fromBase64, toBase64 } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import type { StandingJson } from '@keystead/core/trust';
import { readCertificate } from '@keystead/core/x509';
import type { Plan } from './plan.ts';

type Anchor = StandingJson['anchors'][number];

const keyOf = ({ certificate }: Anchor): string =>
  readCertificate(fromBase64(certificate) as DerCertificate).spkiSha256;

/** Whether the old root stands in it, and the new one in each role of the old. */
export function rootsIn({ old, next }: Plan, { anchors }: StandingJson): { old: boolean; next: boolean } {
  const rolesOf = (key: string | undefined) =>
    new Set(anchors.filter((one) => keyOf(one) === key).map(({ role }) => role));
  const [before, after] = [rolesOf(old), rolesOf(next)];
  return { old: before.size > 0, next: after.size > 0 && [...before].every((role) => after.has(role)) };
}

/**
 * What is to stand in the bundles while both roots count: the new one in every role of the old one, from now until it
 * ends. Nothing else changes. REQ-KEY-ROT-02
 * @param next the new root, certified by itself; @param at seconds since 1970.
 * @throws KeysteadError `rotation.target` for another root than that of the plan.
 */
export function withBothRoots(plan: Plan, content: StandingJson, next: DerCertificate, at: number): StandingJson {
  const { spkiSha256, notAfter } = readCertificate(next);
  if (spkiSha256 !== plan.next) {
    throw new KeysteadError('rotation.target', {
      field: 'next',
      seen: `${spkiSha256}, where the plan has ${plan.next}`,
    });
  }
  const until = Math.floor(notAfter.getTime() / 1000);
  const added = content.anchors
    .filter((one) => keyOf(one) === plan.old)
    .filter(({ role }) => !content.anchors.some((one) => one.role === role && keyOf(one) === plan.next))
    .map(({ role }) => ({ role, certificate: toBase64(next), from: at, until }));
  return { ...content, anchors: [...content.anchors, ...added] };
}

/** What is to stand in the bundles when the old root is over: everything but it. REQ-KEY-ROT-02 */
export const withoutOldRoot = (plan: Plan, content: StandingJson): StandingJson => ({
  ...content,
  anchors: content.anchors.filter((one) => keyOf(one) !== plan.old),
});
