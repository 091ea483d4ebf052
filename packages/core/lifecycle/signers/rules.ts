import { KeysteadError } from '../../errors/index.ts';
import { checkPublicKey } from '../../x509/index.ts';
import type { Policy, PolicyOperator } from '../policy.ts';
import type { Role } from '../roles.ts';
import { hasHardwareKey, keyName, keysOf, spkiOfSigner } from './keys.ts';

/** How a quorum comes together that nobody's signature is asked for. */
const BY_PROCEDURE = ['ceremony-witnesses'] as const;

/**
 * The rules of the keys of people: each is fit, is one person's, and stands once. Whatever wraps it, one key is one key.
 * REQ-KEY-SOD-02
 * @throws KeysteadError `policy.operator-duplicate`, `policy.signer-unfit`, `policy.hardware-unenforced`.
 */
export function checkSigners(policy: Policy): void {
  const owners = new Map<string, string>();
  policy.operators.forEach((operator, index) => {
    const field = `operators[${index}]`;
    requireEachOnce(operator, field);
    operator.signers?.forEach((signer, at) => {
      try {
        checkPublicKey(spkiOfSigner(signer), policy.algorithms);
      } catch (cause) {
        if (!(cause instanceof KeysteadError)) throw cause;
        const seen = `${cause.code}: ${cause.seen ?? signer.kind}`;
        throw new KeysteadError('policy.signer-unfit', { field: `${field}.signers[${at}]`, seen, cause });
      }
    });
    for (const key of keysOf(operator).keys()) {
      const owner = owners.get(key);
      if (owner !== undefined) {
        const part = operator.signers === undefined ? 'spki' : 'signers';
        throw new KeysteadError('policy.operator-duplicate', { field: `${field}.${part}`, seen: `a key of ${owner}` });
      }
      owners.set(key, operator.name);
    }
  });
  for (const act of BY_PROCEDURE) {
    if (policy.quorums[act].hardware === undefined) continue;
    throw new KeysteadError('policy.hardware-unenforced', { field: `quorums.${act}.hardware`, seen: 'true' });
  }
}

/** One kind of signature by one key has one entry: of two, it would be chance which one judges it. */
function requireEachOnce({ signers = [] }: PolicyOperator, field: string): void {
  const seen = new Set<string>();
  signers.forEach((signer, index) => {
    const name = `${signer.kind} ${keyName(spkiOfSigner(signer))}`;
    if (seen.has(name)) {
      throw new KeysteadError('policy.operator-duplicate', {
        field: `${field}.signers[${index}]`,
        seen: 'a key twice',
      });
    }
    seen.add(name);
  });
}

/** Those who could be one of a quorum: by their role, and with such a key as it asks for. */
export const ableFor = (
  { operators }: Policy,
  { roles, hardware }: { readonly roles: readonly Role[]; readonly hardware?: boolean | undefined },
): PolicyOperator[] =>
  operators.filter(
    (operator) =>
      operator.roles.some((role) => roles.includes(role)) && (hardware !== true || hasHardwareKey(operator)),
  );
