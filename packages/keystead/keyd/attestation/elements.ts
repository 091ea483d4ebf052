import { type DerCertificate, type DerSpki, sameBytes, toHex } from '@keystead/core/bytes';
import { randomBytes, sha256, verifySignature } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import type { SecureElementPolicy } from '@keystead/core/lifecycle';
import { signatureAlgorithmFor } from '@keystead/core/x509';
import { Allowance } from './allowance.ts';
import type { UnitAtLine } from './attestation.ts';
import { type Chip, maySign, verifyChip } from './chip.ts';
import type { ElementKey } from './key-origin.ts';

/** A challenge to a chip. It is no secret. */
export interface ElementChallenge {
  /** 16 random bytes, hex. */
  readonly id: string;
  /** 32 random bytes. */
  readonly challenge: Uint8Array;
  readonly expiresAt: Date;
  readonly chip: Chip;
}

/** What a chip's certified key says of another key that the chip has. */
export interface ChipStatement {
  readonly challengeId: string;
  /** By the natural algorithm of the chip's key: ECDSA in DER with SHA-256 on P-256, SHA-384 on P-384; Ed25519; RSA with SHA-256. */
  readonly signature: Uint8Array;
}

interface Open {
  readonly challenge: Uint8Array;
  readonly expires: number;
  readonly unit: UnitAtLine;
  readonly chipSpki: DerSpki;
}

const LIFETIME_MS = 120_000;
const MOST_OPEN = 1024;

const STATEMENT = Buffer.from('keystead chip statement v1\n', 'latin1');

/**
 * The bytes that a chip signs: `keystead chip statement v1` and a line feed, ASCII; the 32 bytes of the challenge; the
 * SHA-256 of the new key's SubjectPublicKeyInfo; the device id, UTF-8. All parts but the last have one length.
 */
export const chipStatement = (challenge: Uint8Array, spki: DerSpki, deviceId: string): Uint8Array =>
  Buffer.concat([STATEMENT, challenge, sha256(spki), Buffer.from(deviceId, 'utf8')]);

/**
 * Keys in secure elements whose maker certified them (ATECC608, SE05x, STSAFE and others): either the request is for the
 * certified key itself, or the certified key has signed a statement over a fresh challenge and the new key. Challenges are
 * in memory alone: one to a device, answered once, for two minutes. REQ-KEY-GEN-03
 */
export class Elements {
  readonly #policy: SecureElementPolicy | undefined;
  readonly #allowance = new Allowance({ burst: 64, perSecond: 8 }, { burst: 256, perSecond: 100 });
  /** By id, the oldest first. */
  readonly #open = new Map<string, Open>();

  /** @param policy undefined where no secure element is believed. */
  constructor(policy: SecureElementPolicy | undefined) {
    this.#policy = policy;
  }

  /** The chip of a certificate. @throws KeysteadError as {@link verifyChip} does. */
  chip(chain: readonly DerCertificate[], now: Date): Chip {
    return verifyChip(chain, this.#policy, now);
  }

  /**
   * A challenge to the chip of this unit. An earlier one to the same device is forgotten then.
   * @throws KeysteadError `element.*`, `attestation.too-many`, `attestation.busy`, `key.*`.
   */
  challenge(unit: UnitAtLine, chain: readonly DerCertificate[], now: Date): ElementChallenge {
    const ms = now.getTime();
    if (!this.#allowance.take(unit.operator, ms))
      throw new KeysteadError('attestation.too-many', { field: 'operator', seen: unit.operator });
    this.#forget(({ expires }) => ms >= expires);
    if (this.#open.size >= MOST_OPEN)
      throw new KeysteadError('attestation.busy', { field: 'challenges', seen: `${this.#open.size}` });
    const chip = this.chip(chain, now);
    if (!maySign(chip))
      throw new KeysteadError('element.chip-refused', { field: 'chip certificate', seen: 'a key that must not sign' });
    this.#forget((open) => open.unit.deviceId === unit.deviceId);
    const id = toHex(randomBytes(16));
    const challenge = randomBytes(32);
    const expires = ms + LIFETIME_MS;
    this.#open.set(id, { challenge, expires, unit, chipSpki: chip.certificate.spki });
    return { id, challenge, expiresAt: new Date(expires), chip };
  }

  /**
   * How the key of a request is tied to the chip. A challenge is used up by the first answer, right or wrong.
   * @param spki of the request, whose proof of possession holds.
   * @throws KeysteadError `element.*`, `key.*`.
   */
  verify(
    unit: UnitAtLine,
    spki: DerSpki,
    chain: readonly DerCertificate[],
    statement: ChipStatement | undefined,
    now: Date,
  ): { readonly key: ElementKey; readonly chip: Chip } {
    const open = statement === undefined ? undefined : this.#answered(statement.challengeId, unit, now);
    const chip = this.chip(chain, now);
    const certified = sameBytes(spki, chip.certificate.spki);
    if (!maySign(chip))
      throw new KeysteadError('element.chip-refused', { field: 'chip certificate', seen: 'a key that must not sign' });
    if (statement === undefined || open === undefined) {
      if (!certified)
        throw new KeysteadError('element.key-refused', { field: 'csr', seen: 'a key without a statement' });
      return { chip, key: { origin: 'secure-element', form: 'certified', ...chip.facts } };
    }
    if (!sameBytes(open.chipSpki, chip.certificate.spki)) throw answerRefused('chain', 'another chip');
    const said = chipStatement(open.challenge, spki, unit.deviceId);
    if (!verifySignature(signatureAlgorithmFor(chip.algorithm), chip.certificate.spki, said, statement.signature))
      throw new KeysteadError('element.statement-refused', { field: 'signature', seen: 'not one of the chip' });
    return { chip, key: { origin: 'secure-element', form: certified ? 'certified' : 'attested', ...chip.facts } };
  }

  #answered(id: string, unit: UnitAtLine, now: Date): Open {
    const open = this.#open.get(id);
    if (open === undefined) throw answerRefused('challengeId', 'unknown, forgotten, or answered before');
    this.#open.delete(id);
    if (now.getTime() >= open.expires) throw answerRefused('challengeId', 'expired');
    for (const part of ['deviceId', 'ticketSha256', 'operator', 'station', 'line'] as const) {
      if (unit[part] !== open.unit[part]) throw answerRefused(part, 'another than the challenge was made for');
    }
    return open;
  }

  #forget(which: (open: Open) => boolean): void {
    for (const [id, open] of this.#open) if (which(open)) this.#open.delete(id);
  }
}

const answerRefused = (field: string, seen: string): KeysteadError =>
  new KeysteadError('element.challenge-refused', { field, seen });
