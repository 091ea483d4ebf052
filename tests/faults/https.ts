import { Agent, request } from 'node:https';
import { createSecureContext, type SecureContext } from 'node:tls';
import { type DerCertificate, fromPem } from '@keystead/core/bytes';
import { readCertsOnly } from '@keystead/core/x509';

/** PEM of a key and of the certificate for it, as TLS takes them. */
export interface Identity {
  readonly cert: string;
  readonly key: string;
}

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
}

export interface Ask {
  readonly identity?: Identity;
  readonly body?: string | Uint8Array;
  readonly type?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

const NOBODY: Identity = { cert: '', key: '' };
const contexts = new WeakMap<Identity, Map<string | undefined, SecureContext>>();

/** Made once for each identity: who asks every tenth of a second until a service is back would spend its time on it. */
function contextOf(anchor: string | undefined, identity: Identity = NOBODY): SecureContext {
  const known = contexts.get(identity) ?? new Map<string | undefined, SecureContext>();
  contexts.set(identity, known);
  const context = known.get(anchor) ?? createSecureContext({ ca: anchor, ...(identity === NOBODY ? {} : identity) });
  known.set(anchor, context);
  return context;
}

/** One request on a TLS connection of its own. Without `anchor` the server's certificate is not looked at. */
export async function askServer(url: URL, anchor: string | undefined, method: string, ask: Ask): Promise<Answer> {
  const { identity, body, type, headers = {} } = ask;
  const trust = { rejectUnauthorized: anchor !== undefined, secureContext: contextOf(anchor, identity) };
  const agent = new Agent({ keepAlive: false, maxCachedSessions: 0, ...trust });
  const sent = {
    ...(type === undefined ? {} : { 'Content-Type': type }),
    ...(body === undefined ? {} : { 'Content-Length': String(Buffer.byteLength(body)) }),
    ...headers,
  };
  try {
    return await new Promise<Answer>((resolve, reject) => {
      const call = request(url, { method, agent, timeout: 20_000, headers: sent }, (response) => {
        const parts: Buffer[] = [];
        response.on('data', (part: Buffer) => parts.push(part));
        response.on('error', reject);
        response.on('end', () => {
          const text = Buffer.concat(parts).toString('utf8');
          resolve({ status: response.statusCode ?? 0, headers: response.headers, text });
        });
      });
      call.on('timeout', () => call.destroy(new Error('no answer in time')));
      call.on('error', reject);
      call.end(body);
    });
  } finally {
    agent.destroy();
  }
}

/** The certificate in an EST answer, DER. */
export function certificateOf(answer: Answer): DerCertificate {
  const [certificate] = readCertsOnly(new Uint8Array(Buffer.from(answer.text, 'base64')));
  if (certificate === undefined) throw new TypeError(`no certificate: ${answer.text}`);
  return certificate;
}

/** The certificate in the answer to a provisioned unit, DER. */
export function unitCertificate(answer: Answer): DerCertificate {
  const [certificate] = fromPem('CERTIFICATE', JSON.parse(answer.text).certificate);
  if (certificate === undefined) throw new TypeError('no certificate');
  return certificate as DerCertificate;
}
