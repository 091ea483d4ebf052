import { fromHex, type Serial, toBase64url, toHex } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import { cryptoperiodOf, type IssuerId, purposeOfProfile } from '@keystead/core/lifecycle';
import { readCertificate } from '@keystead/core/x509';
import { suggestedWindow } from '../rotation/index.ts';
import type { Certificate } from '../store/index.ts';
import type { AcmeDeps } from './deps.ts';
import type { CertificateName } from './orders.ts';

/** The part of its usable life in which a certificate is renewed; devices keep to the same (agent/renewal/schedule.ts). */
const EARLIEST = 0.5;
const LATEST = 0.75;
/** How long a window has been over that tells of a revocation. */
const OVER_MS = 60_000;

/** From when to when a certificate is to be renewed; a client picks a moment in it by chance. */
export interface RenewalWindow {
  readonly start: Date;
  readonly end: Date;
}

/** Tells when to renew a certificate (RFC 9773). */
export class RenewalInfo {
  readonly #deps: Pick<AcmeDeps, 'hierarchy' | 'clock' | 'policy' | 'store'>;
  /** The keys of the CAs by their key identifiers, hex. */
  readonly #issuers: ReadonlyMap<string, IssuerId>;

  constructor(deps: Pick<AcmeDeps, 'hierarchy' | 'clock' | 'policy' | 'store'>) {
    this.#deps = deps;
    const named = deps.hierarchy.issuers.map(
      ({ id, certificate }) => [readCertificate(certificate).ski ?? id, id] as const,
    );
    this.#issuers = new Map(named);
  }

  /**
   * The certificate of a name as RFC 9773 section 4.1 builds it: base64url of the authority key identifier, a dot,
   * base64url of the serial number's octets in DER.
   * @throws KeysteadError `acme.malformed`, `acme.unknown`.
   */
  named(text: string): CertificateName {
    const malformed = new KeysteadError('acme.malformed', { field: 'certificate', seen: text.slice(0, 80) });
    const match = /^([A-Za-z0-9_-]{2,128})\.([A-Za-z0-9_-]{2,64})$/.exec(text);
    if (match === null) throw malformed;
    const [identifier, octets] = [match[1] ?? '', match[2] ?? ''].map(
      (part) => new Uint8Array(Buffer.from(part, 'base64url')),
    );
    if (identifier === undefined || octets === undefined) throw malformed;
    const serial = toHex(octets[0] === 0 ? octets.subarray(1) : octets) as Serial;
    const issuer = this.#issuers.get(toHex(identifier));
    if (issuer === undefined) throw new KeysteadError('acme.unknown', { field: 'certificate', seen: 'another issuer' });
    if (renewalName(toHex(identifier), serial) !== text) throw malformed;
    return { issuer, serial };
  }

  /** The other way round. */
  nameOf({ issuer, serial }: CertificateName): string {
    const [identifier = ''] = [...this.#issuers].find(([, id]) => id === issuer) ?? [];
    return renewalName(identifier, serial);
  }

  /**
   * The window follows the policy: a cryptoperiod that was made shorter than the certificate's life moves it forward.
   * One of a certificate that was revoked is over, and a rotation campaign moves that of a device forward.
   * @throws KeysteadError `acme.unknown`.
   */
  window({ issuer, serial }: CertificateName): RenewalWindow {
    const { certificate, campaign } = this.#deps.store.read((records) => {
      const found = records.certificate(issuer, serial);
      const deviceId = found?.deviceId ?? undefined;
      const asked = found && deviceId !== undefined ? suggestedWindow(records, deviceId, found) : undefined;
      return { certificate: found, campaign: asked };
    });
    if (certificate === undefined) throw new KeysteadError('acme.unknown', { field: 'certificate', seen: serial });
    if (certificate.status === 'revoked') {
      const end = Math.min(certificate.revokedAt ?? 0, this.#deps.clock.now().getTime());
      return { start: new Date(end - OVER_MS), end: new Date(end) };
    }
    const { notBefore } = certificate;
    const life = this.#usableEnd(certificate) - notBefore;
    const regular = { start: new Date(notBefore + life * EARLIEST), end: new Date(notBefore + life * LATEST) };
    // A campaign asks for it sooner, never later.
    return campaign !== undefined && campaign.end < regular.end
      ? { start: campaign.start, end: campaign.end }
      : regular;
  }

  /** When the key may no longer be used: the end of its certificate, or of its cryptoperiod in the policy of now. */
  #usableEnd({ profile, notBefore, notAfter }: Certificate): number {
    const known = this.#deps.policy.profiles.find(({ id }) => id === profile);
    if (known === undefined) return notAfter;
    const { originatorSeconds } = cryptoperiodOf(this.#deps.policy, purposeOfProfile(known));
    return originatorSeconds === 'none' ? notAfter : Math.min(notAfter, notBefore + originatorSeconds * 1000);
  }
}

function renewalName(keyIdentifier: string, serial: Serial): string {
  const octets = fromHex(serial);
  // DER writes a zero before a first octet from 0x80 on (X.690 section 8.3).
  const positive = ((octets[0] ?? 0) & 0x80) === 0 ? octets : new Uint8Array([0, ...octets]);
  return `${toBase64url(fromHex(keyIdentifier))}.${toBase64url(positive)}`;
}
