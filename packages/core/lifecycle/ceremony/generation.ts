import type { DerCertificate, SpkiSha256 } from '../../bytes/index.ts';
import { readCertificate } from '../../x509/index.ts';
import { type IssuerId, issuerId, ONLINE_CAS, type OnlineCa } from '../issuer.ts';

/** A certificate of an online CA that a later one has replaced. */
export interface EarlierCertificate {
  readonly role: OnlineCa;
  readonly certificate: DerCertificate;
}

/** One key of a CA, with every certificate that the roots have made for it. */
export interface CaGeneration {
  readonly issuer: IssuerId;
  readonly ca: OnlineCa;
  readonly spkiSha256: SpkiSha256;
  /** The oldest first; never empty. */
  readonly certificates: readonly DerCertificate[];
  /** The one that was made last. */
  readonly newest: DerCertificate;
  /** Whether it is the key that the CA issues by. */
  readonly current: boolean;
}

/** What of a bundle says which keys a CA has had. */
export interface CaHistory {
  readonly certificates: Readonly<Record<OnlineCa, DerCertificate>>;
  readonly earlier: readonly EarlierCertificate[];
}

/** The keys of a CA, the first one first: a key counts from its first certificate. */
export function generationsOf({ certificates, earlier }: CaHistory, ca: OnlineCa): CaGeneration[] {
  const all = [...earlier.filter(({ role }) => role === ca).map(({ certificate }) => certificate), certificates[ca]];
  const byKey = new Map<SpkiSha256, DerCertificate[]>();
  for (const der of all) {
    const key = readCertificate(der).spkiSha256;
    byKey.set(key, [...(byKey.get(key) ?? []), der]);
  }
  const current = readCertificate(certificates[ca]).spkiSha256;
  return [...byKey].map(([spkiSha256, made], index) => ({
    issuer: issuerId(ca, index + 1),
    ca,
    spkiSha256,
    certificates: made,
    newest: made.at(-1) ?? certificates[ca],
    current: spkiSha256 === current,
  }));
}

/** Every key that the online CAs have had. */
export const allGenerations = (history: CaHistory): CaGeneration[] =>
  ONLINE_CAS.flatMap((ca) => generationsOf(history, ca));
