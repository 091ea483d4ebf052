import { Agent } from 'node:http';
import type { Clock } from '@keystead/core/clock';
import {
  type CertificateInfo,
  EXTENSIONS,
  findExtension,
  nameKey,
  type RevocationList,
  readDistributionPoints,
  readRevocationList,
} from '@keystead/core/x509';
import { type CrlAnswer, fetchCrl } from './crl-fetch.ts';

export interface CrlCacheOptions {
  readonly clock: Clock;
  /** How old a CRL may be before the distribution point is asked again, milliseconds; default 300000. */
  readonly refreshMs?: number;
  /** The tolerated window: how long after its nextUpdate a CRL still tells a status, milliseconds; default 0. */
  readonly tolerateMs?: number;
  /** How long to wait for an answer, milliseconds; default 5000. */
  readonly timeoutMs?: number;
  /** The largest CRL that is taken, bytes; default 16 MiB. */
  readonly largest?: number;
  /** Asks a distribution point; by default HTTP GET with If-None-Match. */
  readonly get?: (url: string, etag: string | undefined) => Promise<CrlAnswer>;
}

interface Kept {
  list: RevocationList | undefined;
  etag: string | undefined;
  askedAt: number;
}

/** Distribution points that are remembered; the oldest are dropped first. */
const MOST_POINTS = 1000;
/** Distribution points of one certificate that are asked. */
const MOST_URLS = 4;
const HALF_MINUTE = 30_000;

/**
 * The CRLs of peers' certificates: fetched over HTTP from the distribution points that the certificates name
 * (RFC 5280 sections 4.2.1.13 and 4.2.1.15), kept, and asked for again when they are old.
 *
 * What comes over HTTP is from anybody: a CRL is kept only when one of the CAs at hand signed it, and never in the
 * place of one with a higher number. When a point cannot be reached, the last one stays, within the tolerated window.
 * It is in memory: after a restart a device that is offline knows nothing, unless `add` gives it CRLs from its disk.
 * REQ-KEY-REV-03
 */
export class CrlCache {
  readonly #options: CrlCacheOptions;
  readonly #get: (url: string, etag: string | undefined) => Promise<CrlAnswer>;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 4, timeout: HALF_MINUTE });
  readonly #points = new Map<string, Kept>();
  readonly #asking = new Map<string, Promise<void>>();
  readonly #given: RevocationList[] = [];

  constructor(options: CrlCacheOptions) {
    this.#options = options;
    const { timeoutMs = 5000, largest = 16 * 1024 * 1024 } = options;
    this.#get = options.get ?? ((url, etag) => fetchCrl(url, etag, { agent: this.#agent, timeoutMs, largest }));
  }

  /** The tolerated window, seconds, as `checkRevocation` takes it. */
  get tolerateSeconds(): number {
    return (this.#options.tolerateMs ?? 0) / 1000;
  }

  /** Takes a CRL of any kind, DER, that came by another way. @throws KeysteadError `crl.malformed` */
  add(der: Uint8Array): void {
    this.#given.push(readRevocationList(der));
  }

  /**
   * The CRLs for `certificate`, as new as they can be had now. Never throws: what cannot be fetched is not there, and
   * whether what is there will do is for the judge to say.
   * @param signers certificates whose keys may have signed them: those of a path that holds, and our own. Never what a
   *   peer sent: its namesake of a CA could fill the cache with its own CRLs.
   */
  async listsFor(
    certificate: CertificateInfo,
    signers: readonly CertificateInfo[],
  ): Promise<readonly RevocationList[]> {
    const urls = urlsOf(certificate);
    await Promise.all(urls.map((url) => this.#refresh(url, signers)));
    return [...this.#given, ...urls.flatMap((url) => this.#points.get(url)?.list ?? [])];
  }

  /** Ends kept connections. */
  close(): void {
    this.#agent.destroy();
  }

  #refresh(url: string, signers: readonly CertificateInfo[]): Promise<void> {
    const kept = this.#points.get(url);
    const now = this.#options.clock.now().getTime();
    const age = kept === undefined ? -1 : now - kept.askedAt;
    // An age below zero means that the clock went back: then nothing is known about the age.
    const fresh = kept?.list !== undefined && age >= 0 && age < (this.#options.refreshMs ?? 300_000);
    if (fresh && now < (kept?.list?.nextUpdate.getTime() ?? 0)) return Promise.resolve();
    const asking = this.#asking.get(url);
    if (asking !== undefined) return asking;
    const asked = this.#ask(url, kept, now, signers).finally(() => this.#asking.delete(url));
    this.#asking.set(url, asked);
    return asked;
  }

  async #ask(url: string, kept: Kept | undefined, askedAt: number, signers: readonly CertificateInfo[]): Promise<void> {
    try {
      const answer = await this.#get(url, kept?.etag);
      const list = 'unchanged' in answer ? kept?.list : readRevocationList(answer.der);
      if (list === undefined || !isSigned(list, signers)) return;
      if (kept?.list !== undefined && kept.list.issuerKey === list.issuerKey && list.number < kept.list.number) return;
      this.#remember(url, { list, etag: 'unchanged' in answer ? kept?.etag : answer.etag, askedAt });
    } catch {
      // The last one stays: it is judged by its own end.
    }
  }

  #remember(url: string, kept: Kept): void {
    this.#points.delete(url);
    this.#points.set(url, kept);
    const [oldest] = this.#points.keys();
    if (this.#points.size > MOST_POINTS && oldest !== undefined) this.#points.delete(oldest);
  }
}

const isSigned = (list: RevocationList, signers: readonly CertificateInfo[]): boolean =>
  signers.some((signer) => nameKey(signer.subject) === list.issuerKey && list.verify(signer).verdict === 'valid');

/** The http URLs of the certificate's CRLs and delta CRLs. */
function urlsOf({ extensions }: CertificateInfo): string[] {
  const urls = [EXTENSIONS.cRLDistributionPoints, EXTENSIONS.freshestCRL].flatMap((id) => {
    const extension = findExtension(extensions, id);
    return extension === undefined ? [] : tryPoints(extension.value);
  });
  return [...new Set(urls)].slice(0, MOST_URLS);
}

function tryPoints(value: Uint8Array): string[] {
  try {
    return readDistributionPoints(value)
      .flatMap(({ urls }) => urls)
      .filter((url) => url.startsWith('http://'));
  } catch {
    // The judge refuses such a certificate by itself.
    return [];
  }
}
