import type { IssuerId } from '@keystead/core/lifecycle';
import type { KeydContext } from '../context.ts';
import { requireHeadquarters } from './node.ts';

/**
 * Whether this keyd is who answers for what an issuer has issued. The IDevIDs of a factory are revoked at headquarters:
 * a list by the node's own sub-CA would have none of that, and a verifier that took it would take a stolen device for a
 * good one. REQ-KEY-REV-01
 * @throws KeysteadError `factory.not-here`.
 */
export function requireListedHere({ hierarchy: { node } }: KeydContext, issuer: IssuerId): void {
  if (issuer === 'server') return;
  requireHeadquarters(node, 'issuer', `the status of certificates of ${issuer}`);
}
