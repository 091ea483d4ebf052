import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { type CrlAnswer, fetchCrl } from '@keystead/agent';
import { fromPem, toHex } from '@keystead/core/bytes';
import type { Clock } from '@keystead/core/clock';
import { sha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import {
  type CertificateInfo,
  EXTENSIONS,
  findExtension,
  formatName,
  readCertificate,
  readDistributionPoints,
} from '@keystead/core/x509';
import { z } from 'zod';
import { durableWrite } from '../files/durable.ts';
import { CrlBundle } from './crl-bundle.ts';

export interface CrlSyncOptions {
  readonly clock: Clock;
  /**
   * Files of CA certificates, PEM: every CA of the paths that the verifier is to judge, the root included, and who signs
   * an indirect CRL that they name.
   */
  readonly caFiles: readonly string[];
  /** http addresses of CRLs, besides those that the CA certificates themselves name. */
  readonly urls: readonly string[];
  /** Where the bundle goes, PEM; beside it `<out>.state.json` keeps what it was made from. */
  readonly out: string;
  /** Run by the shell when the bundle has changed since it last ended with 0. */
  readonly reload?: string;
  readonly get?: (url: string, etag: string | undefined) => Promise<CrlAnswer>;
}

export interface CrlSyncOutcome {
  readonly crls: readonly { readonly issuer: string; readonly number: string; readonly nextUpdate: string }[];
  readonly changed: boolean;
  readonly reloaded: boolean;
  /** What went wrong on the way; what was fetched before stays then. */
  readonly failures: readonly KeysteadError[];
}

const State = z.object({
  version: z.literal(1),
  /** For each address the ETag of its CRL, and that CRL's SHA-256. */
  points: z.record(z.string(), z.object({ etag: z.string(), sha256: z.string() })),
  /** SHA-256 of the bundle with which the reload command last ended with 0. */
  reloaded: z.string().optional(),
});
type State = z.infer<typeof State>;

const RELOAD_TIMEOUT_MS = 30_000;

/**
 * Fetches the CRLs, verifies them and replaces the bundle durably and at once; then has the verifier read it. A run
 * that is cut off at any moment leaves the old bundle or the new one, and the next run finishes what is left.
 * REQ-KEY-REV-03
 * @throws KeysteadError `crl-sync.no-ca`; all that can be mended later is among `failures`.
 */
export async function syncCrls(options: CrlSyncOptions): Promise<CrlSyncOutcome> {
  const cas = options.caFiles.flatMap(readCas);
  const before = existsSync(options.out) ? readFileSync(options.out, 'utf8') : '';
  const bundle = new CrlBundle(cas, before);
  const state = readState(`${options.out}.state.json`);
  const failures: KeysteadError[] = [];
  for (const url of new Set([...options.urls, ...cas.flatMap(urlsOf)])) {
    const failure = await refresh(url, bundle, state, options);
    if (failure !== undefined) failures.push(failure);
  }
  for (const { issuer, nextUpdate } of bundle.lists) {
    if (nextUpdate <= options.clock.now())
      failures.push(new KeysteadError('crl-sync.ended', { field: formatName(issuer), seen: nextUpdate.toISOString() }));
  }
  const missing = [...new Set(bundle.missing)].map((ca) => formatName(ca.subject));
  if (missing.length > 0) failures.push(new KeysteadError('crl-sync.missing', { field: missing.join('; ') }));
  for (const { subject, serial } of bundle.withdrawn(options.clock.now()))
    failures.push(new KeysteadError('crl-sync.withdrawn', { field: formatName(subject), seen: `serial ${serial}` }));
  const text = bundle.toPem(options.clock.now());
  const changed = text !== before;
  if (changed) durableWrite(options.out, text, 0o644);
  const digest = toHex(sha256(Buffer.from(text)));
  let reloaded = false;
  if (options.reload !== undefined && (changed || state.reloaded !== digest)) {
    const failure = await reload(options.reload);
    if (failure === undefined) state.reloaded = digest;
    else failures.push(failure);
    reloaded = failure === undefined;
  }
  // Last: what it says of the bundle and of the reload is true by now.
  durableWrite(`${options.out}.state.json`, `${JSON.stringify(state)}\n`, 0o644);
  const crls = bundle.lists.map((list) => ({
    issuer: formatName(list.issuer),
    number: String(list.number),
    nextUpdate: list.nextUpdate.toISOString(),
  }));
  return { crls, changed, reloaded, failures };
}

async function refresh(
  url: string,
  bundle: CrlBundle,
  state: State,
  { clock, get = fetchCrl }: CrlSyncOptions,
): Promise<KeysteadError | undefined> {
  try {
    const known = state.points[url];
    const etag = known !== undefined && bundle.has(known.sha256) ? known.etag : undefined;
    const answer = await get(url, etag);
    if ('unchanged' in answer) return undefined;
    const list = bundle.take(answer.der, clock.now());
    if (answer.etag === undefined) delete state.points[url];
    else state.points[url] = { etag: answer.etag, sha256: list.sha256 };
    return undefined;
  } catch (error) {
    if (!(error instanceof KeysteadError)) throw error;
    if (error.code !== 'peer.unreachable')
      return new KeysteadError(error.code, { field: `${url}: ${error.field ?? ''}`, seen: error.seen, cause: error });
    return new KeysteadError('crl-sync.unreachable', { field: url, seen: error.seen, cause: error });
  }
}

function readCas(file: string): CertificateInfo[] {
  try {
    const cas = fromPem('CERTIFICATE', readFileSync(file, 'utf8')).map(readCertificate);
    // Beside the CAs, who signs an indirect CRL for one.
    if (cas.length > 0 && cas.every(({ ca, keyUsage }) => ca || keyUsage.includes('cRLSign'))) return cas;
  } catch (cause) {
    throw new KeysteadError('crl-sync.no-ca', {
      field: file,
      seen: cause instanceof Error ? cause.message : '',
      cause,
    });
  }
  throw new KeysteadError('crl-sync.no-ca', { field: file });
}

/** Where a CA's certificate says that its issuer's CRL is. */
function urlsOf({ extensions }: CertificateInfo): string[] {
  const extension = findExtension(extensions, EXTENSIONS.cRLDistributionPoints);
  if (extension === undefined) return [];
  return readDistributionPoints(extension.value)
    .flatMap(({ urls }) => urls)
    .filter((url) => url.startsWith('http://'));
}

/** A state that is torn or of another version costs a fetch and a reload, nothing else. */
function readState(path: string): State {
  try {
    return State.parse(JSON.parse(readFileSync(path, 'utf8')));
  } catch {
    return { version: 1, points: {} };
  }
}

function reload(command: string): Promise<KeysteadError | undefined> {
  return new Promise((resolve) => {
    const child = spawn('/bin/sh', ['-c', command], {
      stdio: ['ignore', 'ignore', 'inherit'],
      timeout: RELOAD_TIMEOUT_MS,
    });
    const failed = (seen: string): void =>
      resolve(new KeysteadError('crl-sync.reload-failed', { field: '--reload', seen }));
    child.once('error', (error) => failed(error.message));
    child.once('exit', (code, signal) => (code === 0 ? resolve(undefined) : failed(`exit ${code ?? signal}`)));
  });
}
