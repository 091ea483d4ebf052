import { KeysteadError } from '@keystead/core/errors';
import { operatorOf, permits } from '@keystead/core/lifecycle';
import type { KeydContext } from '../context.ts';
import type { Params, Result } from '../protocol.ts';

/**
 * Ends a sign-on for good: no unit comes under it from then on, also after a restart. It needs no signature, for it only
 * takes; but it must be a sign-on that holds, and be ended by one who may stand there too or may sign others off, so that
 * the journal does not grow by what was never there. REQ-KEY-PROV-01
 * @throws KeysteadError `sign-on.*`, `operator.*`, `clock.went-back`, `keyd.journal-failed`.
 */
export async function signOff(keyd: KeydContext, params: Params<'signOff'>): Promise<Result<'signOff'>> {
  const now = keyd.now();
  const { signOn: text, by, requestId } = params;
  const signed = keyd.signOns.verify(text);
  const { content, signer, sha256 } = signed;
  const told = { station: content.station, operator: signer, line: content.line };
  const before = keyd.state.endedSignOns.at(sha256);
  if (before !== undefined) return { ...told, at: new Date(before) };
  if (now.getTime() >= Date.parse(content.notAfter)) return { ...told, at: new Date(content.notAfter) };
  if (by !== signer) requireMayEnd(keyd, by);
  const entry = { time: now.toISOString(), signOnSha256: sha256, until: content.notAfter };
  await keyd.journal.append({ ...entry, kind: 'sign-off', by, requestId });
  keyd.state.endedSignOns.end(entry);
  return { ...told, at: now };
}

function requireMayEnd(keyd: KeydContext, by: string): void {
  const operator = operatorOf(keyd.policy, by);
  if (operator === undefined) throw new KeysteadError('operator.unknown', { field: 'by', seen: by });
  // Who signs on at a station relieves whoever was signed on there before.
  if (permits(operator.roles, 'station.sign-off') || permits(operator.roles, 'unit.provision')) return;
  const seen = `${by}, who is ${operator.roles.join(', ')}`;
  throw new KeysteadError('operator.forbidden', { field: 'by', seen });
}
