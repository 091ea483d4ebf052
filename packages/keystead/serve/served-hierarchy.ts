import { type DerCertificate, sameBytes } from '@keystead/core/bytes';
import type { Clock } from '@keystead/core/clock';
import {
  type IssuerId,
  type IssuerName,
  type OnlineCa,
  type Policy,
  type RootId,
  transitionEnd,
} from '@keystead/core/lifecycle';
import { type CaRole, readCertificate } from '@keystead/core/x509';
import type { Result } from '../keyd-client/index.ts';

type Trust = Result<'trust'>;
type Named<T extends string> = { readonly id: T; readonly certificate: DerCertificate };

/**
 * The CAs and roots as others meet them: which anchors count now, what leads from one to the other, and by whom what is
 * issued can be checked. What it says follows from keyd's word and the clock, so that an old root ends by itself.
 */
export class ServedHierarchy {
  readonly #trust: Trust;
  readonly #clock: Clock;
  readonly #policy: (() => Policy) | undefined;

  /** @param policy the one in force: it may end a transition sooner than the one of the start. */
  constructor(trust: Trust, clock: Clock, policy?: () => Policy) {
    this.#trust = trust;
    this.#clock = clock;
    this.#policy = policy;
  }

  /** When the old root of a change ceases to be an anchor. */
  #until({ certificates, until }: Trust['rollovers'][number]): Date {
    return this.#policy === undefined ? until : transitionEnd(this.#policy(), certificates);
  }

  /** Those in use. */
  get certificates(): Readonly<Record<CaRole, DerCertificate>> {
    return this.#trust.certificates as Record<CaRole, DerCertificate>;
  }

  /** At a factory node what it hangs on; undefined at headquarters. */
  get factory(): Trust['factory'] {
    return this.#trust.factory;
  }

  /** What leads from a CA of this house to the root: at a factory node the CA of headquarters that certified it. */
  above(ca: OnlineCa): DerCertificate[] {
    const { factory } = this.#trust;
    return factory !== undefined && (ca === 'manufacturing' || ca === 'server') ? [factory.above[ca]] : [];
  }

  /** The issuers for whose certificates this house answers: the IDevIDs of a factory are headquarters' to revoke. */
  get answering(): Trust['issuers'] {
    return this.#trust.factory === undefined ? this.issuers : this.issuers.filter(({ ca }) => ca === 'server');
  }

  /** Every key of the CAs, with its newest certificate. */
  get issuers(): Trust['issuers'] {
    return this.#trust.issuers;
  }

  /** The roots that are or were anchors, by the names of their keys. */
  get roots(): Named<RootId>[] {
    const { rollovers } = this.#trust;
    const old = rollovers.map(({ old: id, certificates }) => ({ id, certificate: certificates.old }));
    const last = (role: 'root' | 'signing-root'): RootId =>
      rollovers.findLast((rollover) => rollover.role === role)?.next ?? role;
    const now = (['root', 'signing-root'] as const).map((role) => ({
      id: last(role),
      certificate: this.certificates[role],
    }));
    return [...old, ...now];
  }

  /** The changes of the roots' keys, by the hashes of their keys. */
  get rollovers(): { role: string; old: string; next: string; until: Date; acrossUntil: Date }[] {
    return this.#trust.rollovers.map((rollover) => ({
      role: rollover.role,
      old: readCertificate(rollover.certificates.old).spkiSha256,
      next: readCertificate(rollover.certificates.newWithOld).spkiSha256,
      until: this.#until(rollover),
      acrossUntil: readCertificate(rollover.certificates.oldWithNew).notAfter,
    }));
  }

  /** Every certificate that has an address of its own (caIssuers, RFC 5280 section 4.2.2.1). */
  get all(): Named<IssuerName>[] {
    return [...this.roots, ...this.issuers];
  }

  /** Of who signs the indirect CRL of the root, where there is one. */
  get crlSigner(): DerCertificate | undefined {
    return this.#trust.crlSigner;
  }

  /** Every key that a CRL is published for. */
  get names(): IssuerName[] {
    return this.all.map(({ id }) => id);
  }

  /** The keys of these CAs that what was issued by can be checked now: not revoked, and not ended. */
  valid(...cas: readonly OnlineCa[]): Named<IssuerId>[] {
    const now = this.#clock.now();
    return this.issuers.filter(
      ({ ca, revoked, certificate }) => cas.includes(ca) && !revoked && readCertificate(certificate).notAfter > now,
    );
  }

  /** The changes of the root's key whose old root is an anchor still. */
  get #living(): Trust['rollovers'] {
    const now = this.#clock.now();
    return this.#trust.rollovers.filter((one) => one.role === 'root' && this.#until(one) > now);
  }

  /** The roots that count now as anchors of devices, servers and people, the one in use first. */
  get anchors(): DerCertificate[] {
    return [this.certificates.root, ...this.#living.map(({ certificates }) => certificates.old).reverse()];
  }

  /** New with old: who knows an old root only finds the one in use by these (RFC 9810 section 4.4). */
  get newWithOld(): DerCertificate[] {
    return this.#living.map(({ certificates }) => certificates.newWithOld).reverse();
  }

  /** Old with new: who knows the root in use only finds by these what was made under an old one. */
  get oldWithNew(): DerCertificate[] {
    return this.#living.map(({ certificates }) => certificates.oldWithNew).reverse();
  }

  /** What leads from a root that was an anchor to the one after it; undefined for the one in use, and for strangers. */
  successorOf(
    root: DerCertificate,
  ): { newWithNew: DerCertificate; newWithOld: DerCertificate; oldWithNew: DerCertificate } | undefined {
    const changes = this.#trust.rollovers.filter(({ role }) => role === 'root');
    const at = changes.findIndex(({ certificates }) => sameBytes(certificates.old, root));
    const change = changes[at];
    if (change === undefined) return undefined;
    const { newWithOld, oldWithNew } = change.certificates;
    return { newWithNew: changes[at + 1]?.certificates.old ?? this.certificates.root, newWithOld, oldWithNew };
  }

  /** What the issued of these CAs is checked by, below an anchor: the CAs, and what leads from root to root. */
  chain(...cas: readonly OnlineCa[]): DerCertificate[] {
    const own = this.valid(...cas).map(({ certificate }) => certificate);
    const above = cas.flatMap((ca) => this.above(ca));
    return [...own, ...above, ...this.newWithOld, ...this.oldWithNew];
  }
}
