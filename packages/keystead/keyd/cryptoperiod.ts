import { KeysteadError } from '@keystead/core/errors';
import { cryptoperiodOf, type KeyPurposeId, type Policy } from '@keystead/core/lifecycle';

/**
 * A key protects only within its originator usage period, whatever its certificate says. REQ-KEY-POL-01
 * @param since the activation of the key: notBefore of its certificate.
 * @throws KeysteadError `key.cryptoperiod-ended`.
 */
export function requireWithinCryptoperiod(policy: Policy, purpose: KeyPurposeId, since: Date, now: Date): void {
  const { originatorSeconds } = cryptoperiodOf(policy, purpose);
  if (originatorSeconds === 'none') return;
  const end = since.getTime() + originatorSeconds * 1000;
  if (now.getTime() < end) return;
  throw new KeysteadError('key.cryptoperiod-ended', {
    field: `cryptoperiod of '${purpose}'`,
    seen: `${originatorSeconds} s since ${since.toISOString()}, ended ${new Date(end).toISOString()}`,
  });
}
