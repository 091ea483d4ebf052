import { type DerCertificate, fromBase64 } from '@keystead/core/bytes';
import type { Signer } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import {
  type Policy,
  parseTicket,
  profileOf,
  requestName,
  type SignedTicket,
  verifyTicket,
} from '@keystead/core/lifecycle';
import { checkPublicKey, readCertificate, type WeakKeys } from '@keystead/core/x509';
import type { Factory } from '../factories.ts';
import type { Journal } from '../journal.ts';
import type { KeyLedger } from '../key-ledger.ts';
import type { PolicyChain } from '../policy-chain.ts';
import type { KeydState } from '../state.ts';
import { profileFault } from './certificate-profile.ts';
import { Intake } from './intake.ts';
import type { ConsigningFactory } from './proof.ts';

/** What an intake needs of its keyd. */
export interface IntakeParts {
  readonly state: KeydState;
  readonly policies: PolicyChain;
  readonly policy: Policy;
  readonly journal: Journal;
  readonly ledger: KeyLedger;
  readonly evidence: Signer;
  readonly weakKeys: WeakKeys;
  now(): Date;
  /** @throws KeysteadError `ticket.*` */
  ticket(text: string): SignedTicket;
}

/** The intake of a keyd: by its factories, its policies, and its evidence key. */
export const intakeOf = (keyd: IntakeParts): Intake =>
  new Intake({
    get consigned() {
      return keyd.state.factories.consigned;
    },
    factoryOf: (name) => {
      const factory = keyd.state.factories.get(name);
      return factory && consigning(factory);
    },
    ticket: (text) => verifiedTicket(keyd, text),
    checkKey: ({ spki }) => {
      checkPublicKey(spki, profileOf(keyd.policy, 'idevid').keyAlgorithms, keyd.weakKeys);
    },
    profileFault: (content, deviceId, { name, manufacturing }) => {
      const { founding, steps } = keyd.policies;
      const earlier = [...steps.map(({ file }) => file.policy).reverse(), founding.policy];
      return profileFault(content, { factory: name, deviceId }, manufacturing, [keyd.policy, ...earlier]);
    },
    append: (draft) => keyd.journal.append(draft),
    signer: {
      sign: (bytes) => {
        keyd.ledger.require(requestName('evidence'), 'protect', keyd.now());
        return keyd.evidence.sign(bytes);
      },
    },
  });

/** By all that was ever ordered of it: what it made by an earlier certificate is as good as ever, also after its end. */
function consigning({ name, acts, closed }: Factory): ConsigningFactory {
  const info = (certificate: string) => readCertificate(fromBase64(certificate) as DerCertificate);
  return {
    name,
    manufacturing: acts.map(({ certified }) => info(certified.manufacturing.certificate)).reverse(),
    evidence: acts.map(({ certified }) => info(certified.evidence.certificate).spki),
    deviceIdPrefixes: [...new Set(acts.flatMap(({ deviceIdPrefixes }) => deviceIdPrefixes))],
    closedAt: closed?.at,
  };
}

/**
 * Units come weeks after their ticket was signed; whoever signed it may have left the policy since. So a ticket is good
 * by the policy in force, or by one that was in force after the ticket had begun.
 * @throws KeysteadError `ticket.*` of the policy in force.
 */
function verifiedTicket(keyd: IntakeParts, text: string): SignedTicket {
  try {
    return keyd.ticket(text);
  } catch (error) {
    if (!(error instanceof KeysteadError)) throw error;
    const begins = Date.parse(parseTicket(text).ticket.notBefore);
    const { founding, steps } = keyd.policies;
    for (const [index, { policy }] of [founding, ...steps.map(({ file }) => file)].entries()) {
      const next = steps[index];
      if (next === undefined || Date.parse(next.appliedAt) <= begins) continue;
      try {
        return verifyTicket(text, policy);
      } catch (other) {
        if (!(other instanceof KeysteadError)) throw other;
      }
    }
    throw error;
  }
}
