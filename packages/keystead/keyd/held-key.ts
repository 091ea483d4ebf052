import { type DerCertificate, type SpkiSha256, sameBytes } from '@keystead/core/bytes';
import { spkiSha256 } from '@keystead/core/crypto';
import {
  caProfileId,
  firmwareIdOf,
  generatedKey,
  generationOfIssuer,
  issuerOfKey,
  type KeyChange,
  type KeyPurposeId,
  type KeyStanding,
  profileOf,
  ROOT_CRL_KEY,
  ROOT_CRL_PROFILE,
  requestName,
  rootCrlProfile,
  stepKey,
  type UsagePeriods,
} from '@keystead/core/lifecycle';
import { readCertificate } from '@keystead/core/x509';
import type { KeyInfo } from '../keystore/index.ts';
import { purposeOfKey } from './custody.ts';
import type { Hierarchy } from './hierarchy.ts';

/** What becomes of a key's events: who ordered them, and why. */
export interface KeyChangeTold {
  readonly change: KeyChange;
  readonly at: Date;
  readonly by: string;
  readonly reason: string;
  readonly requestId: string;
}

/** A key of keyd's as the ledger tells it. */
export interface LedgerKey extends UsagePeriods {
  readonly info: KeyInfo;
  readonly spkiSha256: SpkiSha256;
  readonly purpose: KeyPurposeId;
  /** Null for a key that no ceremony has certified yet. */
  readonly activatedAt: number | null;
  readonly changes: readonly KeyChangeTold[];
}

/** A key as the ledger holds it. */
export interface HeldKey extends Omit<LedgerKey, keyof UsagePeriods> {
  readonly certificateEnd: number | undefined;
  /** When the next key of its CA took over, milliseconds since 1970. */
  readonly succeededAt: number | undefined;
  /** Whether it is certified to sign firmware of production. */
  readonly production: boolean;
  standing: KeyStanding;
  readonly changes: KeyChangeTold[];
}

/** A key of the keystore before anything is ordered of it: in use from when a ceremony certified it. */
export function heldKey(hierarchy: Hierarchy, info: KeyInfo, firmwareBegan: ReadonlyMap<string, number>): HeldKey {
  const generatedAt = Date.parse(info.createdAt);
  const { from, end, succeededAt } = certified(hierarchy, info, firmwareBegan);
  const activatedAt = from === undefined ? null : Math.max(generatedAt, from);
  const generated = generatedKey(generatedAt);
  return {
    info,
    spkiSha256: spkiSha256(info.spki),
    purpose: purposeOfKey(info.id) ?? 'wrapping',
    activatedAt,
    certificateEnd: end,
    succeededAt,
    production: isProduction(hierarchy, info),
    standing: activatedAt === null ? generated : stepKey(generated, { event: 'activate', at: activatedAt }),
    changes: [],
  };
}

/** A development key certifies itself. */
function isProduction({ firmware }: Hierarchy, { id }: KeyInfo): boolean {
  const certificate = firmware.get(firmwareIdOf(id) ?? '');
  if (certificate === undefined) return false;
  const { issuerDer, subjectDer } = readCertificate(certificate);
  return !sameBytes(issuerDer, subjectDer);
}

/** What certificates say of a key, milliseconds since 1970. */
interface Certified {
  /** When it came into use; undefined for a key of a CA that no ceremony has certified yet. */
  readonly from: number | undefined;
  readonly end?: number | undefined;
  readonly succeededAt?: number | undefined;
}

/** When a key came into use, and when its certificate ends. A certificate is dated back, by what its profile says. */
function certified(hierarchy: Hierarchy, { id, spki }: KeyInfo, firmwareBegan: ReadonlyMap<string, number>): Certified {
  const { issuers, evidenceSigner, crlSigner, policy, pins } = hierarchy;
  const imported = Date.parse(pins.importedAt);
  const dated = (der: DerCertificate, profile: string, began: number) => {
    const { notBefore, notAfter } = readCertificate(der);
    const backdated = profileOf(policy, profile).validity.backdateSeconds * 1000;
    // A certificate that was made later for the same key does not make the key younger.
    return { from: Math.min(notBefore.getTime() + backdated, began), end: notAfter.getTime() };
  };
  if (id === requestName('evidence')) return dated(evidenceSigner, 'evidence-signer', imported);
  if (id === ROOT_CRL_KEY) {
    if (crlSigner === undefined || rootCrlProfile(policy) === undefined) return { from: undefined };
    return dated(crlSigner, ROOT_CRL_PROFILE, imported);
  }
  const firmware = firmwareIdOf(id);
  if (firmware !== undefined) {
    const der = hierarchy.firmware.get(firmware);
    if (der === undefined) return { from: undefined };
    const { notBefore, notAfter } = readCertificate(der);
    // The ledger takes the later of this and the time when the key was made: how far it is dated back is of no matter.
    const from = Math.min(notBefore.getTime(), firmwareBegan.get(spkiSha256(spki)) ?? Number.POSITIVE_INFINITY);
    return { from, end: notAfter.getTime() };
  }
  const name = issuerOfKey(id);
  if (name === undefined) return { from: imported };
  const issuer = issuers.find((one) => one.id === name);
  if (issuer === undefined) return { from: undefined };
  const before = issuers.filter(({ ca }) => ca === issuer.ca).at(generationOfIssuer(name) - 2);
  const began = generationOfIssuer(name) === 1 ? imported : (before?.succeededAt?.getTime() ?? imported);
  const succeededAt = issuer.succeededAt?.getTime();
  return { ...dated(issuer.certificate, caProfileId(issuer.ca), began), succeededAt };
}
