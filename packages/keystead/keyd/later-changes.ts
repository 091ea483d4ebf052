import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type DerCertificate, type DerCrl, sameBytes } from '@keystead/core/bytes';
import { certSha256, spkiSha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import {
  type CaGeneration,
  type CeremonyBundle,
  generationsOf,
  OFFLINE_CAS,
  ONLINE_CAS,
  type OnlineCa,
  type Policy,
  type RootId,
  rootCrlsOf,
} from '@keystead/core/lifecycle';
import { readCertificate, readCrl } from '@keystead/core/x509';
import type { Layout } from '../files/layout.ts';
import { firmwarePins, type Hierarchy } from './hierarchy.ts';
import { lastBundle } from './publish-trust.ts';

/** What a ceremony after the founding changes of the hierarchy that keyd works with. */
export interface LaterChanges {
  /** CAs with a new certificate for the key that they have. */
  readonly renewed: readonly OnlineCa[];
  /** The CA that goes on with a new key, and the key that it goes on with. */
  readonly successor: CaGeneration | undefined;
  /** Keys for firmware with a new certificate, by their ids in the policy. */
  readonly firmware: readonly string[];
}

const unexpected = (field: string, seen: string): KeysteadError =>
  new KeysteadError('bundle.change-unexpected', { field, seen });

/**
 * What the bundle changes, when that is no more than its ceremony is held for: a list changes no certificate, an
 * `intermediate` that of one CA, a `rollover` one root, and with the root the certificates of the CAs for the keys that
 * they have; `firmware` certifies keys for firmware. What came before stays what it was. REQ-KEY-SOD-01
 * @param policy by which the ceremony was held: a key for firmware that it names no more is gone from the bundle.
 * @throws KeysteadError `bundle.change-unexpected` with the part; `bundle.foreign` for another evidence key.
 */
export function changesOf(bundle: CeremonyBundle, hierarchy: Hierarchy, policy: Policy): LaterChanges {
  const { pins, evidenceSigner } = hierarchy;
  const rolled = requireRollovers(bundle, hierarchy);
  const changed = ONLINE_CAS.filter((role) => certSha256(bundle.certificates[role]) !== pins.certificates[role]);
  const most = bundle.ceremony === 'intermediate' ? 1 : rolled === 'root' ? ONLINE_CAS.length : 0;
  if (changed.length > most || (rolled === 'root' && changed.length < ONLINE_CAS.length)) {
    throw unexpected('certificates', changed.join(', ') || 'none');
  }
  const successors = ONLINE_CAS.flatMap((ca) => successorOf(bundle, hierarchy, ca) ?? []);
  if (successors.length > 0 && bundle.ceremony !== 'intermediate') {
    throw unexpected('certificates', `a new key of ${successors.map(({ ca }) => ca).join(', ')}`);
  }
  const evidence = spkiSha256(readCertificate(evidenceSigner).spki);
  if (bundle.evidenceSpkiSha256 !== evidence) {
    throw new KeysteadError('bundle.foreign', { field: 'evidenceSpkiSha256', seen: bundle.evidenceSpkiSha256 });
  }
  requireCrlSigner(bundle, hierarchy);
  const firmware = firmwareChanges(bundle, hierarchy, policy);
  const [successor] = successors;
  return { renewed: changed.filter((ca) => ca !== successor?.ca), successor, firmware };
}

/** Who signs the indirect CRL of the root is certified again for the key that it has, and is neither lost nor new. */
function requireCrlSigner({ crlSigner }: CeremonyBundle, { crlSigner: known }: Hierarchy): void {
  const keyOf = (der: DerCertificate | undefined) => (der === undefined ? 'none' : readCertificate(der).spkiSha256);
  if (keyOf(crlSigner) !== keyOf(known)) throw unexpected('crlSigner', keyOf(crlSigner));
}

/**
 * The keys for firmware have the certificates that they had, but for those that a ceremony `firmware` was held for, at
 * least one. One that the policy names no more may be left out.
 */
function firmwareChanges(bundle: CeremonyBundle, { pins }: Hierarchy, policy: Policy): readonly string[] {
  const told = firmwarePins(bundle);
  const named = (id: string) => policy.firmware?.keys.some((key) => key.id === id) === true;
  const lost = Object.keys(pins.firmware).find((key) => told[key] === undefined && named(key));
  if (lost !== undefined) throw unexpected(`firmware ${lost}`, 'none');
  const fresh = Object.keys(told).filter((key) => told[key] !== pins.firmware[key]);
  if (bundle.ceremony === 'firmware') {
    if (fresh.length === 0) throw unexpected('firmware', 'no new certificate');
    return fresh;
  }
  const [differs] = fresh;
  if (differs !== undefined) throw unexpected(`firmware ${differs}`, told[differs] ?? 'none');
  return [];
}

/** Every key that keyd knows of a CA is there as it was; one more may follow. Returns that one. */
function successorOf(bundle: CeremonyBundle, { issuers, pins }: Hierarchy, ca: OnlineCa): CaGeneration | undefined {
  const known = issuers.filter((issuer) => issuer.ca === ca);
  const told = generationsOf(bundle, ca);
  known.forEach(({ id, certificate, current }, index) => {
    const same = told[index];
    const field = `the keys of ${ca}`;
    if (same?.spkiSha256 !== readCertificate(certificate).spkiSha256) throw unexpected(field, `another key for ${id}`);
    const pinned = pins.former.find(({ issuer }) => issuer === id);
    if (!current && certSha256(same.newest) !== pinned?.sha256) throw unexpected(field, `another certificate of ${id}`);
  });
  const [next, ...more] = told.slice(known.length);
  if (more.length > 0) throw unexpected(`the keys of ${ca}`, `${told.length}, after ${known.length}`);
  if (told.at(-1)?.current !== true) throw unexpected(`the keys of ${ca}`, 'a key that was given up before');
  return next;
}

/** At most one root more has changed its key, from the one that is pinned. Returns which. */
function requireRollovers(bundle: CeremonyBundle, { pins }: Hierarchy): 'root' | 'signing-root' | undefined {
  const { rollovers, ceremony, certificates } = bundle;
  pins.rollovers.forEach((pinned, index) => {
    const told = rollovers[index];
    const same =
      told !== undefined &&
      told.role === pinned.role &&
      certSha256(told.old) === pinned.old &&
      certSha256(told.newWithOld) === pinned.newWithOld &&
      certSha256(told.oldWithNew) === pinned.oldWithNew;
    if (!same) throw unexpected(`rollovers[${index}]`, 'another than the one that was imported');
  });
  const added = rollovers.slice(pins.rollovers.length);
  const [rolled] = added;
  if (added.length !== (ceremony === 'rollover' ? 1 : 0)) throw unexpected('rollovers', `${added.length} more`);
  for (const role of OFFLINE_CAS) {
    const seen = certSha256(certificates[role]);
    const isNew = seen !== pins.certificates[role];
    if (isNew !== (rolled?.role === role)) throw unexpected(`certificates.${role}`, seen);
  }
  if (rolled !== undefined && certSha256(rolled.old) !== pins.certificates[rolled.role]) {
    throw unexpected(`rollovers[${rollovers.length - 1}].old`, certSha256(rolled.old));
  }
  return rolled?.role;
}

/**
 * What a root has revoked stays revoked, and its numbers go up: held against the lists of the ceremony before.
 * @throws KeysteadError `bundle.older`, `bundle.change-unexpected`.
 */
export function requireNewerCrls(bundle: CeremonyBundle, hierarchy: Hierarchy, layout: Layout): void {
  const next = new Map(rootCrlsOf(bundle).map(({ id, crl }) => [id, crl]));
  for (const [id, before] of crlsBefore(hierarchy, layout)) {
    const crl = next.get(id);
    if (crl === undefined) throw unexpected(`the CRL of ${id}`, 'none');
    requireNewer(id, before, crl);
  }
}

/** From keyd's copy of the last ceremony, or after the founding from where they are served. */
function crlsBefore({ pins, certificates }: Hierarchy, layout: Layout): ReadonlyMap<RootId, DerCrl> {
  const before = lastBundle(layout, pins);
  if (before !== undefined) return new Map(rootCrlsOf(before).map(({ id, crl }) => [id, crl]));
  const served = OFFLINE_CAS.flatMap((role): [RootId, DerCrl][] => {
    const path = join(layout.crl, `${role}.crl`);
    const crl = existsSync(path) ? (readFileSync(path) as Uint8Array as DerCrl) : undefined;
    // Whoever may write in the directory can put anything there; only what the root signed is held against the new one.
    return crl !== undefined && isBy(crl, certificates[role]) ? [[role, crl]] : [];
  });
  return new Map(served);
}

function isBy(crl: DerCrl, root: Hierarchy['certificates']['root']): boolean {
  try {
    return readCrl(crl).verify(root);
  } catch {
    return false;
  }
}

function requireNewer(id: RootId, served: DerCrl, crl: DerCrl): void {
  const [before, next] = [readCrl(served), readCrl(crl)];
  const field = `crls.${id}`;
  if (next.number < before.number || (next.number === before.number && !sameBytes(served, crl))) {
    throw new KeysteadError('bundle.older', { field, seen: `CRL ${next.number}, after CRL ${before.number}` });
  }
  const gone = [...before.entries.keys()].find((serial) => !next.entries.has(serial));
  if (gone !== undefined) throw unexpected(field, `serial ${gone} is not revoked any more`);
}
