import { X509Certificate } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type DerCertificate, fromPem, type Serial } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import {
  caOf,
  isIssuerId,
  type OnlineCa,
  type RevocationSelector,
  revocationListSha256,
} from '@keystead/core/lifecycle';
import { deviceIdOf, readCertificate } from '@keystead/core/x509';
import type { Layout } from '../files/layout.ts';

/** A certificate as the service shows it to whoever is about to sign. */
export interface ShownCertificate {
  readonly issuer: string;
  readonly serial: string;
  readonly subject: string;
  /** PEM. */
  readonly certificate: string | null;
}

/** What a release is for, as the service tells it. */
export interface ShownRelease {
  readonly selector: RevocationSelector;
  readonly count: number;
  readonly listSha256: string;
  readonly listed: readonly ShownCertificate[];
}

/**
 * Looks at the certificates themselves before a release is signed: the service might be in foreign hands and show those
 * of another device. Each must be signed by the CA in `trust/`, be what was named, and be on the list that is signed.
 * @throws KeysteadError `revocation.list-untrue`.
 */
export function requireTrue({ selector, count, listSha256, listed }: ShownRelease, layout: Layout): void {
  const read = listed.map(({ issuer, serial, certificate }) => {
    const [der] = certificate === null ? [] : fromPem('CERTIFICATE', certificate);
    if (der === undefined || !isIssuerId(issuer)) throw untrue(`${issuer} ${serial}, without its certificate`);
    const info = readCertificate(der as DerCertificate);
    const shown = new X509Certificate(der);
    const signed = casOf(caOf(issuer), layout).some((ca) => shown.checkIssued(ca) && shown.verify(ca.publicKey));
    if (!signed) throw untrue(`${serial}, which ${issuer} did not sign`);
    if (!isNamed(selector, issuer, info)) throw untrue(`${info.serial}: ${info.san.join(', ')}`);
    return { issuer, serial: info.serial };
  });
  if (read.length !== count || revocationListSha256(read) !== listSha256) {
    throw untrue(`${read.length} certificates, and a list of ${count}`);
  }
}

/** The certificates of a CA in `trust/`: the newest has the plain name, and those of before have numbers. */
const casOf = (role: OnlineCa, layout: Layout): X509Certificate[] =>
  readdirSync(layout.trust)
    .filter((name) => name === `${role}.pem` || new RegExp(`^${role}-\\d+\\.pem$`).test(name))
    .map((name) => new X509Certificate(readFileSync(join(layout.trust, name))));

function isNamed(
  selector: RevocationSelector,
  issuer: string,
  { serial, san, spkiSha256 }: { serial: Serial; san: readonly string[]; spkiSha256: string },
): boolean {
  switch (selector.kind) {
    case 'certificate':
      return selector.issuer === issuer && selector.serial === serial;
    case 'device':
      return deviceIdOf([...san]) === selector.deviceId;
    case 'key':
      return spkiSha256 === selector.spkiSha256;
    default:
      return false;
  }
}

const untrue = (seen: string): KeysteadError =>
  new KeysteadError('revocation.list-untrue', { field: 'certificates', seen });
