import type { DerCertificate, Serial, SpkiSha256 } from '@keystead/core/bytes';
import { certSha256, verifySignature } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { type FactoryIssuerId, type IssuerId, isIssuerId, type OnlineCa } from '@keystead/core/lifecycle';
import { type CertificateInfo, deviceIdOf, personNameOf, readCertificate } from '@keystead/core/x509';
import type { CertificateAuthority } from './certificate-authority.ts';
import type { OutsideIssuer } from './factory/operators.ts';
import { type FactoryIdevid, factoryThatSigned, requireFactoryUnit } from './factory-requester.ts';
import type { KeydState } from './state.ts';

/** Who a certificate names, once its signature is verified. Its times are looked at each time. */
interface Proven {
  readonly issuer: IssuerId | FactoryIssuerId;
  readonly serial: Serial;
  readonly spkiSha256: SpkiSha256;
  readonly id: string;
  readonly notBefore: number;
  readonly notAfter: number;
}

type Kind = 'device' | 'operator' | 'station';

const ISSUERS: Readonly<Record<Kind, readonly OnlineCa[]>> = {
  device: ['manufacturing', 'operational'],
  operator: ['operator'],
  station: ['server'],
};

/** A verification is remembered for this many certificates: IDevIDs and LDevIDs come again and again. */
const REMEMBERED = 20_000;

/**
 * Checks the certificates that requesters show. A front end cannot name a device that has no certificate of ours;
 * but a certificate is public, and whether the requester holds its key was seen in a TLS handshake by the front end
 * alone. docs/keyd.md says what follows from that.
 */
export class Requesters {
  readonly #authorities: readonly CertificateAuthority[];
  readonly #state: KeydState;
  readonly #vouches: (issuer: IssuerId) => boolean;
  readonly #operators: OutsideIssuer | undefined;
  readonly #proven = new Map<string, Proven>();

  /**
   * @param authorities every key of the CAs: what one that has a successor issued is as good as ever.
   * @param vouches false of a key that the root has revoked or that is in foreign hands: whoever has it can have made
   *   any certificate, and would get one from its successor.
   * @param operators who certifies operators, where that is no CA of this keyd.
   */
  constructor(
    authorities: readonly CertificateAuthority[],
    state: KeydState,
    vouches: (issuer: IssuerId) => boolean,
    operators?: OutsideIssuer,
  ) {
    this.#authorities = authorities;
    this.#state = state;
    this.#vouches = vouches;
    this.#operators = operators;
  }

  /**
   * @param certificate what the requester showed; it must name `id`.
   * @throws KeysteadError `requester.unproven`, `requester.revoked`; of an IDevID of a factory `requester.quarantined`,
   *   `requester.not-reconciled`.
   */
  check(kind: 'device' | 'operator', id: string, certificate: DerCertificate | undefined, now: Date): void {
    if (certificate === undefined) throw unproven('no certificate');
    const proven = this.#provenBy(kind, certificate);
    if (proven.id !== id) throw unproven(`a certificate of ${proven.id}, for ${id}`);
    this.#requireStanding(kind, proven, now);
  }

  /**
   * The station that a certificate names, which keyd itself made for one.
   * @throws KeysteadError `requester.unproven`, `requester.revoked`.
   */
  station(certificate: DerCertificate, now: Date): string {
    const proven = this.#provenBy('station', certificate);
    this.#requireStanding('station', proven, now);
    return proven.id;
  }

  /**
   * Whether a device of a factory would be believed by its IDevID, where nobody shows that: an authorisation says who may
   * ask, and not that the device is still one of ours.
   * @throws KeysteadError `requester.unproven`, `requester.quarantined`, `requester.not-reconciled`.
   */
  factoryUnit(idevid: FactoryIdevid): void {
    requireFactoryUnit(idevid, this.#state, this.#vouches);
  }

  #provenBy(kind: Kind, certificate: DerCertificate): Proven {
    const key = `${kind} ${certSha256(certificate)}`;
    const proven = this.#proven.get(key) ?? this.#prove(kind, certificate);
    if (!this.#proven.has(key)) this.#remember(key, proven);
    return proven;
  }

  #requireStanding(kind: Kind, proven: Proven, now: Date): void {
    const { issuer } = proven;
    const outside = kind === 'operator' ? this.#operators : undefined;
    if (!isIssuerId(issuer)) requireFactoryUnit({ ...proven, issuer }, this.#state, this.#vouches);
    else if (outside === undefined && !this.#vouches(issuer))
      throw unproven(`a certificate of ${issuer}, which is believed no more`);
    if (
      kind === 'device' &&
      issuer.startsWith('manufacturing') &&
      this.#state.factories.consigned.units.isEndedOwn(proven.id)
    ) {
      const seen = `${proven.id}: operators found the unit of a factory to be the right one`;
      throw new KeysteadError('requester.quarantined', { field: 'requester.certificate', seen });
    }
    const ms = now.getTime();
    if (ms < proven.notBefore || ms > proven.notAfter) throw unproven('a certificate that is not valid now');
    if (outside?.isRevoked(proven.serial) ?? this.#state.isListed(proven.issuer, proven.serial)) {
      throw new KeysteadError('requester.revoked', { field: 'requester.certificate', seen: proven.serial });
    }
  }

  #prove(kind: Kind, certificate: DerCertificate): Proven {
    const info = readCertificate(certificate);
    const own =
      kind === 'operator' && this.#operators !== undefined
        ? [this.#operators]
        : this.#authorities.filter(({ role }) => ISSUERS[kind].includes(role));
    const factories = kind === 'device' ? this.#state.factories.all() : [];
    // The keys that a CA has had share a name: the identifier says which to try first, and the signature decides.
    const likeliest = [...own].sort(
      (one, other) => Number(info.aki === other.info.ski) - Number(info.aki === one.info.ski),
    );
    const ours = likeliest.find(({ info: { subjectDer, spki } }) => {
      const algorithm = info.signatureAlgorithm;
      return (
        Buffer.compare(info.issuerDer, subjectDer) === 0 &&
        algorithm !== undefined &&
        verifySignature(algorithm, spki, info.tbs, info.signature)
      );
    })?.id;
    const issuer = ours ?? factoryThatSigned(info, factories)?.issuer;
    if (issuer === undefined) throw unproven('a certificate of another issuer');
    const id = this.#nameIn(kind, info, issuer);
    if (id === undefined || info.ca || !info.extKeyUsage.includes('clientAuth')) {
      throw unproven(`a certificate that names no ${kind}`);
    }
    const { serial, spkiSha256, notBefore, notAfter } = info;
    return { issuer, serial, spkiSha256, id, notBefore: notBefore.getTime(), notAfter: notAfter.getTime() };
  }

  #nameIn(kind: Kind, { san, serial }: CertificateInfo, issuer: Proven['issuer']): string | undefined {
    if (kind === 'device') return deviceIdOf(san);
    if (kind === 'operator') return personNameOf(san);
    return isIssuerId(issuer) ? this.#state.stations.named(issuer, serial) : undefined;
  }

  #remember(key: string, proven: Proven): void {
    if (this.#proven.size >= REMEMBERED) {
      // The oldest first: a Map keeps the order in which keys were put in.
      for (const old of this.#proven.keys()) {
        this.#proven.delete(old);
        break;
      }
    }
    this.#proven.set(key, proven);
  }
}

const unproven = (seen: string): KeysteadError =>
  new KeysteadError('requester.unproven', { field: 'requester.certificate', seen });
