import type { DerCertificate, DerCrl } from '@keystead/core/bytes';
import { allGenerations, type CeremonyBundle, type IssuerId, type RootId } from '@keystead/core/lifecycle';
import { type RevokedEntry, readCertificate, readCrl } from '@keystead/core/x509';
import type { Hierarchy } from './hierarchy.ts';
import type { JournalEntry } from './journal-entry.ts';
import type { CaRevocationJournalEntry } from './revocation-entries.ts';
import { Turnstile } from './turnstile.ts';

/** What the ceremonies have left that the indirect CRL of the root is made of. */
export interface CeremonyRevocations {
  /** The last CRL of each key of a root. */
  readonly rootCrls: readonly { readonly id: RootId; readonly crl: DerCrl }[];
  /** The bundle of the last ceremony after the founding. */
  readonly bundle: CeremonyBundle | undefined;
}

/**
 * What keyd knows of the indirect CRL of the root, made again from its journal at each start: its number, and the CAs
 * that operators revoked between ceremonies. Nothing takes such a revocation back, and no front end adds to it.
 * REQ-KEY-REV-01
 */
export class RootList {
  /** One list at a time is made. */
  readonly turnstile = new Turnstile();
  #number = 0;
  readonly #revoked = new Map<IssuerId, CaRevocationJournalEntry>();

  replay(entry: JournalEntry): void {
    if (entry.kind === 'root-crl') this.#number = Math.max(this.#number, entry.number);
    if (entry.kind === 'ca-revocation') this.revoke(entry);
  }

  /** The CAs that were revoked so. */
  get revoked(): ReadonlyMap<IssuerId, CaRevocationJournalEntry> {
    return this.#revoked;
  }

  /** Takes a revocation into account whose entry is durable; the first one of a key stays. */
  revoke(entry: CaRevocationJournalEntry): void {
    if (!this.#revoked.has(entry.ca)) this.#revoked.set(entry.ca, entry);
  }

  /**
   * Gives the next number. It is at least the seconds since 1970: after a restore, which may have forgotten the last
   * ones, it is still above everything that the field has seen (RFC 5280 section 5.2.3).
   */
  nextNumber(thisUpdate: Date): number {
    this.#number = Math.max(this.#number + 1, Math.floor(thisUpdate.getTime() / 1000));
    return this.#number;
  }

  /**
   * What the list tells: each certificate that a key of the root revoked in a ceremony, and each one that it ever made
   * for the key of a CA that was revoked since. Every entry names the issuer of its certificate, so that none depends on
   * the entry before it (RFC 5280 section 5.3.3).
   */
  entries(hierarchy: Hierarchy, { rootCrls, bundle }: CeremonyRevocations): RevokedEntry[] {
    const { subjectDer } = readCertificate(hierarchy.certificates.root);
    const entries = new Map<string, RevokedEntry>();
    const add = (entry: RevokedEntry): void => {
      if (!entries.has(entry.serial)) entries.set(entry.serial, { ...entry, certificateIssuer: subjectDer });
    };
    for (const { id, crl } of rootCrls) {
      if (id !== 'root' && !id.startsWith('root.')) continue;
      for (const [serial, { revokedAt, reason }] of readCrl(crl).entries) add({ serial, revokedAt, reason });
    }
    for (const { ca, time, reason, invalidityDate } of this.#revoked.values()) {
      const told = {
        revokedAt: new Date(time),
        reason,
        ...(invalidityDate === undefined ? {} : { invalidityDate: new Date(invalidityDate) }),
      };
      for (const der of certificatesOf(ca, hierarchy, bundle)) add({ serial: readCertificate(der).serial, ...told });
    }
    return [...entries.values()];
  }
}

/** The hierarchy with the CAs among the revoked that operators revoked between ceremonies. */
export function withRevoked(hierarchy: Hierarchy, rootList: RootList): Hierarchy {
  const { pins } = hierarchy;
  const revoked = [...new Set([...pins.revoked, ...rootList.revoked.keys()])];
  return { ...hierarchy, pins: { ...pins, revoked } };
}

/** Every certificate that the roots made for a key of a CA, as far as keyd was told of it. */
function certificatesOf(ca: IssuerId, hierarchy: Hierarchy, bundle: CeremonyBundle | undefined): DerCertificate[] {
  const newest = hierarchy.issuers.filter(({ id }) => id === ca).map(({ certificate }) => certificate);
  const made = bundle === undefined ? [] : allGenerations(bundle).filter(({ issuer }) => issuer === ca);
  return [...newest, ...made.flatMap(({ certificates }) => certificates)];
}
