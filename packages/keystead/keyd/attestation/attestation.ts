import { type DerSpki, type SpkiSha256, sameBytes, toHex } from '@keystead/core/bytes';
import { constantTimeEqual, type KeyAlgorithm, randomBytes, SecretBytes, spkiSha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import type { AttestationPolicy } from '@keystead/core/lifecycle';
import { type Credential, makeCredential, nameOf } from '@keystead/tpm2';
import { Allowance, type Rate } from './allowance.ts';
import { type EndorsementTrust, endorsementTrust } from './endorsement.ts';
import type { AttestedKey } from './key-origin.ts';
import { type ShownKeys, verifyShown } from './shown-keys.ts';

/** The unit that a challenge is for, and where it stands: an answer for any other is none. */
export interface UnitAtLine {
  readonly ticketSha256: string;
  readonly deviceId: string;
  readonly operator: string;
  readonly station: string;
  readonly line: string;
}

/** What the device's TPM must open. */
export interface AttestationChallenge {
  /** 16 random bytes, hex. */
  readonly id: string;
  readonly credential: Credential;
  readonly expiresAt: Date;
  /** What the record will say if it is answered. */
  readonly attested: AttestedKey;
}

interface Open {
  readonly expires: number;
  readonly secret: SecretBytes;
  readonly unit: UnitAtLine;
  readonly spki: DerSpki;
  readonly attested: AttestedKey;
}

/** How many challenges there may be. One costs keyd 6 to 9 ms, and 1 kB while it waits. */
export interface ChallengeLimits {
  readonly lifetimeMs: number;
  /** That wait for their answers: of all operators, and of one. */
  readonly mostOpen: number;
  readonly mostOpenEach: number;
  /** That are asked for, whether or not one was made. */
  readonly each: Rate;
  readonly all: Rate;
}

/** A panel of units at once and then two a second at one station; together no more than a third of keyd's time. */
const LIMITS: ChallengeLimits = {
  lifetimeMs: 120_000,
  mostOpen: 1024,
  mostOpenEach: 64,
  each: { burst: 16, perSecond: 2 },
  all: { burst: 64, perSecond: 40 },
};

/**
 * Shows that a device's key is in a TPM that the policy believes (TPM 2.0 Part 1 section 24). A statement of the
 * attestation key (TPM2_Certify) ties the device's key to it; a credential that only the endorsement key's TPM opens,
 * and only while it holds that attestation key (TPM2_MakeCredential, made here without a TPM), ties the two and is what
 * is fresh. Challenges are in memory alone: one to a device, answered once, for two minutes. REQ-KEY-GEN-03
 */
export class Attestation {
  readonly #trust: EndorsementTrust | undefined;
  readonly #limits: ChallengeLimits;
  readonly #allowance: Allowance;
  /** By id, the oldest first. */
  readonly #open = new Map<string, Open>();

  /** @param policy undefined where no TPM is believed. */
  constructor(policy: AttestationPolicy | undefined, limits: Partial<ChallengeLimits> = {}) {
    this.#trust = policy === undefined ? undefined : endorsementTrust(policy);
    this.#limits = { ...LIMITS, ...limits };
    this.#allowance = new Allowance(this.#limits.each, this.#limits.all);
  }

  /**
   * A challenge to the TPM that was shown. An earlier one to the same device is forgotten then.
   * @param unit its operator is one of the policy's. @param requireKey throws where the unit may not have this key.
   * @throws KeysteadError `attestation.not-configured`, `attestation.too-many`, `attestation.busy`, and what
   *   `verifyShown` throws.
   */
  challenge(
    unit: UnitAtLine,
    shown: ShownKeys,
    algorithms: readonly KeyAlgorithm[],
    now: Date,
    requireKey: (spki: SpkiSha256) => void,
  ): AttestationChallenge {
    if (this.#trust === undefined) throw new KeysteadError('attestation.not-configured', { field: 'attestation' });
    const ms = now.getTime();
    if (!this.#allowance.take(unit.operator, ms)) {
      throw new KeysteadError('attestation.too-many', { field: 'operator', seen: unit.operator });
    }
    this.#forget(({ expires }) => ms >= expires);
    this.#requireRoom(unit.operator);
    const { ek, ak, spki, attested } = verifyShown(shown, this.#trust, algorithms, now);
    requireKey(spkiSha256(spki));
    this.#forget((open) => open.unit.deviceId === unit.deviceId);
    const secret = SecretBytes.random(32);
    const credential = makeCredential(ek, nameOf(ak), secret);
    const id = toHex(randomBytes(16));
    const expires = ms + this.#limits.lifetimeMs;
    this.#open.set(id, { expires, secret, unit, spki, attested });
    return { id, credential, expiresAt: new Date(expires), attested };
  }

  /**
   * The key that the answer attests. The challenge is used up by the first answer, right or wrong.
   * @param spki of the request that is to be certified. @param answer what the TPM opened; stays with the caller.
   * @throws KeysteadError `attestation.challenge-refused` with what does not agree.
   */
  verify(id: string, unit: UnitAtLine, spki: DerSpki, answer: Uint8Array, now: Date): AttestedKey {
    const open = this.#open.get(id);
    if (open === undefined) throw refused('challengeId', 'unknown, forgotten, or answered before');
    this.#open.delete(id);
    using secret = open.secret;
    if (now.getTime() >= open.expires) throw refused('challengeId', 'expired');
    for (const part of ['deviceId', 'ticketSha256', 'operator', 'station', 'line'] as const) {
      if (unit[part] !== open.unit[part]) throw refused(FIELDS[part], 'another than the challenge was made for');
    }
    if (!sameBytes(spki, open.spki)) throw refused('csr', 'another key than was shown');
    if (!secret.use((bytes) => constantTimeEqual(bytes, answer))) throw refused('secret', 'another one');
    return open.attested;
  }

  /** Forgets all that is open. */
  wipe(): void {
    for (const { secret } of this.#open.values()) secret.wipe();
    this.#open.clear();
  }

  #requireRoom(operator: string): void {
    const { mostOpen, mostOpenEach } = this.#limits;
    const own = [...this.#open.values()].filter(({ unit }) => unit.operator === operator).length;
    if (own >= mostOpenEach) throw busy(`${own} of ${operator}`);
    if (this.#open.size >= mostOpen) throw busy(`${this.#open.size}`);
  }

  #forget(which: (open: Open) => boolean): void {
    for (const [id, open] of this.#open) {
      if (!which(open)) continue;
      open.secret.wipe();
      this.#open.delete(id);
    }
  }
}

const FIELDS = {
  deviceId: 'deviceId',
  ticketSha256: 'ticket',
  operator: 'operator',
  station: 'station',
  line: 'line',
} as const;

const refused = (field: string, seen: string): KeysteadError =>
  new KeysteadError('attestation.challenge-refused', { field, seen });

const busy = (seen: string): KeysteadError => new KeysteadError('attestation.busy', { field: 'challenges', seen });
