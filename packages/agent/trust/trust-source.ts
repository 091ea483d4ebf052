import { KeysteadError } from '@keystead/core/errors';
import { MOST_FILTER_BYTES } from '@keystead/core/trust';
import { type HttpFile, httpGet } from '../tls/index.ts';

/** Where bundles and filters come from. What comes is from anybody: who asks verifies it. */
export interface TrustSource {
  /** The newest bundle; `unchanged` when it is that of the ETag. */
  latest(etag?: string): Promise<HttpFile>;
  bundle(version: number): Promise<Uint8Array>;
  /** Versions in which the list of signers changed, ascending: what a device that was away needs besides the newest. */
  signerChanges(): Promise<readonly number[]>;
  /** A filter's file, by its SHA-256 (hex). */
  filter(sha256: string): Promise<Uint8Array>;
}

const MOST_BUNDLE_BYTES = 130 * 1024;
const MOST_INDEX_BYTES = 256 * 1024;
/** More changes of signers than this no device has slept through. */
const MOST_CHANGES = 1024;

/** The files under `/trust/` of the server's plain HTTP port. Every method throws KeysteadError `trust.unreachable`. */
export class HttpTrustSource implements TrustSource {
  readonly #base: string;
  readonly #timeoutMs: number;

  /** @param url such as `http://keys.example:8080`; @param timeoutMs for a whole file; default 10000. */
  constructor(url: string, timeoutMs = 10_000) {
    this.#base = `${url.replace(/\/$/, '')}/trust`;
    this.#timeoutMs = timeoutMs;
  }

  latest(etag?: string): Promise<HttpFile> {
    return this.#get('latest', MOST_BUNDLE_BYTES, etag);
  }

  bundle(version: number): Promise<Uint8Array> {
    return this.#file(`bundles/${version}`, MOST_BUNDLE_BYTES);
  }

  filter(sha256: string): Promise<Uint8Array> {
    return this.#file(`filters/${sha256}`, MOST_FILTER_BYTES);
  }

  async signerChanges(): Promise<readonly number[]> {
    const body = await this.#file('index.json', MOST_INDEX_BYTES);
    const versions = changesIn(body);
    if (versions !== undefined) return versions;
    throw new KeysteadError('trust.unreachable', { field: `${this.#base}/index.json`, seen: 'no index of bundles' });
  }

  async #file(path: string, largest: number): Promise<Uint8Array> {
    const answer = await this.#get(path, largest);
    if (!('unchanged' in answer)) return answer.body;
    throw new KeysteadError('trust.unreachable', { field: `${this.#base}/${path}`, seen: 'HTTP 304' });
  }

  async #get(path: string, largest: number, etag?: string): Promise<HttpFile> {
    const url = `${this.#base}/${path}`;
    try {
      return await httpGet(url, { etag, largest, timeoutMs: this.#timeoutMs });
    } catch (cause) {
      const seen = cause instanceof KeysteadError ? cause.seen : undefined;
      throw new KeysteadError('trust.unreachable', { field: url, seen, cause });
    }
  }
}

function changesIn(body: Uint8Array): readonly number[] | undefined {
  let found: unknown;
  try {
    found = new Map(Object.entries(Object(JSON.parse(Buffer.from(body).toString('utf8'))))).get('signerChanges');
  } catch {
    return undefined;
  }
  if (!Array.isArray(found) || found.length > MOST_CHANGES) return undefined;
  const versions = found.filter((one): one is number => Number.isSafeInteger(one) && one > 0);
  return versions.length === found.length ? versions.sort((a, b) => a - b) : undefined;
}
