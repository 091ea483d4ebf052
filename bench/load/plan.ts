/** What one connection sends, one request after the other. */
export interface ConnectionPlan {
  /** The client certificate with its chain and its key, PEM, for mutual TLS. */
  readonly identity?: { readonly cert: string; readonly key: string };
  /** Bodies, base64; each request takes the next. */
  readonly bodies: readonly string[];
}

/** The work of one run of the load generator. */
export interface LoadPlan {
  readonly host: string;
  readonly port: number;
  /** PEM of what the server's certificate must lead to; without it the connection is plain. */
  readonly anchor?: string;
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly connections: readonly ConnectionPlan[];
  /** How long to go round and round through the bodies; without it, each body is sent once. */
  readonly seconds?: number;
}

/** What a run measured. */
export interface LoadResult {
  /** Answers with status 200. */
  readonly answers: number;
  /** Others, and connections that broke. */
  readonly failures: number;
  /** One of the failures, in words. */
  readonly failure?: string;
  readonly seconds: number;
  readonly perSecond: number;
  /** From the last byte of the request handed over to the last byte of the answer, milliseconds. */
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** The result of requests that took these times, milliseconds each, in a run of `seconds`. */
export function resultOf(latencies: number[], seconds: number, failures = 0, failure?: string): LoadResult {
  latencies.sort((a, b) => a - b);
  const part = (fraction: number): number => latencies[Math.floor(fraction * (latencies.length - 1))] ?? 0;
  const answers = latencies.length;
  return { answers, failures, failure, seconds, perSecond: answers / seconds, p50Ms: part(0.5), p99Ms: part(0.99) };
}
