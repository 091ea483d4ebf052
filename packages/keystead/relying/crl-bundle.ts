import { fromPem, toHex, toPem } from '@keystead/core/bytes';
import { sha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import {
  type CertificateInfo,
  formatName,
  nameKey,
  type RevocationList,
  readRevocationList,
} from '@keystead/core/x509';

/** How far a thisUpdate may lie ahead of this clock, milliseconds: the clock may be behind. */
const FUTURE_TOLERANCE_MS = 60_000;

/**
 * The CRLs that a verifier reads from one file: for each CA, and for each partition of its certificates, the newest; and
 * the indirect ones of the signers that are among the CAs, by which the CRL of a revoked CA is left out.
 * A CRL gets in only when one of the CAs signed it, it is whole and in its time, and its number goes not back.
 * REQ-KEY-REV-03
 */
export class CrlBundle {
  readonly #cas: readonly CertificateInfo[];
  readonly #lists = new Map<string, RevocationList>();

  /**
   * @param pem an earlier bundle, or nothing. A CRL in it that is of no CA here, or torn, is left out; one that ended
   *   stays, since a verifier refuses by it what it would refuse without.
   */
  constructor(cas: readonly CertificateInfo[], pem = '') {
    this.#cas = cas;
    for (const der of blocks(pem)) {
      const list = tryRead(der);
      if (list !== undefined && this.#isSigned(list)) this.#lists.set(partitionOf(list), list);
    }
  }

  /**
   * Takes a CRL in the place of the one before it.
   * @throws KeysteadError `crl.malformed`, `crl-sync.delta`, `crl-sync.unsigned`, `crl-sync.ended`, `crl-sync.older`;
   *   the bundle is then as it was.
   */
  take(der: Uint8Array, now: Date): RevocationList {
    const list = readRevocationList(der);
    const field = formatName(list.issuer);
    if (list.baseNumber !== undefined || list.strange !== undefined)
      throw new KeysteadError('crl-sync.delta', { field });
    if (!this.#isSigned(list)) throw new KeysteadError('crl-sync.unsigned', { field });
    const { thisUpdate, nextUpdate } = list;
    if (nextUpdate <= now || thisUpdate.getTime() > now.getTime() + FUTURE_TOLERANCE_MS)
      throw new KeysteadError('crl-sync.ended', {
        field,
        seen: `${thisUpdate.toISOString()} to ${nextUpdate.toISOString()}`,
      });
    const held = this.#lists.get(partitionOf(list));
    if (held !== undefined && (list.number < held.number || list.thisUpdate < held.thisUpdate))
      throw new KeysteadError('crl-sync.older', { field, seen: `number ${list.number} after ${held.number}` });
    this.#lists.set(partitionOf(list), list);
    return list;
  }

  /** The CAs, and the signers of indirect CRLs, that have no CRL here. */
  get missing(): readonly CertificateInfo[] {
    const lists = [...this.#lists.values()];
    return this.#cas.filter((ca) => !lists.some((list) => isSignedBy(list, ca)));
  }

  /**
   * The CAs whose own CRL is left out, since a verifier that knows no indirect CRL must refuse all that they issued: an
   * indirect CRL of their issuer revokes them, or they name one and none is here that is in its time.
   */
  withdrawn(now: Date): readonly CertificateInfo[] {
    const indirect = [...this.#lists.values()].filter(
      ({ point, nextUpdate }) => point?.indirect === true && nextUpdate > now,
    );
    return this.#cas.filter(({ indirectCrls, issuer, serial }) => {
      if (indirect.some((list) => list.find(nameKey(issuer), serial) !== undefined)) return true;
      const signers = indirectCrls.map((named) => nameKey(named.issuer));
      return signers.length > 0 && !indirect.some(({ issuerKey }) => signers.includes(issuerKey));
    });
  }

  /** Whether it holds this very CRL (SHA-256, hex). */
  has(sha256Hex: string): boolean {
    return [...this.#lists.values()].some((list) => list.sha256 === sha256Hex);
  }

  get lists(): readonly RevocationList[] {
    return [...this.#lists.values()];
  }

  /** One block for each CRL, in the order of the CAs' names: the same CRLs make the same text. */
  toPem(now: Date): string {
    const withdrawn = this.withdrawn(now);
    const sorted = [...this.#lists.entries()].sort(([a], [b]) => (a < b ? -1 : 1));
    return sorted
      .filter(([, list]) => !withdrawn.some((ca) => isSignedBy(list, ca)))
      .map(([, list]) => `# ${formatName(list.issuer)}, number ${list.number}\n${toPem('X509 CRL', list.der)}`)
      .join('');
  }

  #isSigned(list: RevocationList): boolean {
    return this.#cas.some((ca) => isSignedBy(list, ca));
  }
}

function isSignedBy(list: RevocationList, ca: CertificateInfo): boolean {
  const mayNot = ca.keyUsage.length > 0 && !ca.keyUsage.includes('cRLSign');
  return !mayNot && nameKey(ca.subject) === list.issuerKey && list.verify(ca).verdict === 'valid';
}

/** One issuer, one key and one partition: a CA that was rolled over has a CRL for each of its keys. */
const partitionOf = ({ issuerKey, aki = '', point }: RevocationList): string =>
  `${issuerKey} ${aki} ${point === undefined ? '' : toHex(sha256(point.der))}`;

function blocks(pem: string): Uint8Array[] {
  try {
    return fromPem('X509 CRL', pem);
  } catch {
    return [];
  }
}

function tryRead(der: Uint8Array): RevocationList | undefined {
  try {
    return readRevocationList(der);
  } catch {
    return undefined;
  }
}
