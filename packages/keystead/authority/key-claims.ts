import type { Serial, SpkiSha256 } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import type { KeyUse, Reader } from '../store/index.ts';

/** That somebody asks for a certificate for a key. */
export interface KeyClaim {
  readonly spkiSha256: SpkiSha256;
  /** `device:<id>`, `operator:<name>` or `system:<name>`. */
  readonly owner: string;
  readonly profile: string;
  /** The batch in which a unit is counted: the same key for another one is another claim. */
  readonly ticketId?: string;
  /** SHA-256 of the DER request, hex. */
  readonly csrSha256: string;
  readonly requestId: string;
  /** The certificate that the new one follows, of who keeps a key: an operator, whose key the policy names, and serve. */
  readonly follows?: Serial;
}

/** What the history of a key says about a claim. */
export type KeyVerdict =
  /** Never seen, or seen from the same owner and never certified (a crash came between), or certified before. */
  | { readonly kind: 'free'; readonly use: KeyUse | undefined }
  /** The same owner has a certificate for it by the same profile, which `repeats` may give out again. */
  | { readonly kind: 'certified'; readonly use: KeyUse }
  | { readonly kind: 'taken'; readonly owner: string };

/**
 * Looks a key up in the history of the whole fleet. REQ-KEY-PROV-03
 * @throws KeysteadError `key.reported-compromised`.
 */
export function keyVerdict(records: Reader, claim: KeyClaim): KeyVerdict {
  const use = records.keyUse(claim.spkiSha256);
  if (typeof use?.compromisedAt === 'number') {
    throw new KeysteadError('key.reported-compromised', { field: 'subjectPublicKeyInfo' });
  }
  if (use === undefined) return { kind: 'free', use: undefined };
  if (use.owner !== claim.owner) return { kind: 'taken', owner: use.owner };
  return { kind: use.serial === null || use.serial === claim.follows ? 'free' : 'certified', use };
}

/** A key that may not be used: the audit entry names both parties, the answer does not name the other one. */
export class KeyTaken extends KeysteadError {
  /** Who had it first. */
  readonly owner: string;

  constructor(owner: string) {
    super('key.already-used', { field: 'subjectPublicKeyInfo' });
    this.owner = owner;
  }
}

interface InFlight {
  readonly claim: KeyClaim;
  readonly outcome: Promise<unknown>;
}

/**
 * The keys that are being certified right now. The index of the records is what makes a key unique; this keeps
 * keyd from signing twice only to have the second signature abandoned, and tells reconciliation which entries of
 * keyd's journal are not lost but under way.
 */
export class KeyClaims {
  readonly #keys = new Map<SpkiSha256, InFlight>();
  readonly #requests = new Map<string, number>();

  /**
   * Runs `certify` as the only one for its key. The very same claim, made again meanwhile, shares its outcome.
   * @throws KeyTaken when another claim for the key is under way.
   */
  async share<T>(claim: KeyClaim, certify: () => Promise<T>): Promise<{ value: T; shared: boolean }> {
    const running = this.#keys.get(claim.spkiSha256);
    if (running !== undefined) {
      if (!sameClaim(running.claim, claim)) throw new KeyTaken(running.claim.owner);
      return { value: (await running.outcome) as T, shared: true };
    }
    const outcome = this.during(claim.requestId, certify);
    this.#keys.set(claim.spkiSha256, { claim, outcome });
    try {
      return { value: await outcome, shared: false };
    } finally {
      this.#keys.delete(claim.spkiSha256);
    }
  }

  /** Runs `certify` for a key that nobody can claim yet, since keyd makes it: the request alone is under way. */
  async during<T>(requestId: string, certify: () => Promise<T>): Promise<T> {
    this.#requests.set(requestId, (this.#requests.get(requestId) ?? 0) + 1);
    try {
      return await certify();
    } finally {
      const left = (this.#requests.get(requestId) ?? 1) - 1;
      if (left === 0) this.#requests.delete(requestId);
      else this.#requests.set(requestId, left);
    }
  }

  /** Whether a certificate is being made for this request. */
  underWay(requestId: string): boolean {
    return this.#requests.has(requestId);
  }
}

const sameClaim = (a: KeyClaim, b: KeyClaim): boolean =>
  a.owner === b.owner && a.profile === b.profile && a.csrSha256 === b.csrSha256 && a.ticketId === b.ticketId;
