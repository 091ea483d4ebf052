import { request } from 'node:http';
import type { DerCertificate } from '@keystead/core/bytes';
import type { Clock } from '@keystead/core/clock';
import { KeysteadError } from '@keystead/core/errors';
import { connectMutual, type HttpAnswer, HttpOverTls } from '../tls/index.ts';

const CMP_TYPE = 'application/pkixcmp';
/** No answer that a device waits for is larger. */
const LARGEST_ANSWER = 64 * 1024;

interface Transport {
  readonly clock: Clock;
  readonly anchors: () => readonly DerCertificate[];
  readonly intermediates?: () => readonly DerCertificate[];
  readonly timeoutMs: number;
}

/**
 * Carries one message to its server and the answer back (RFC 9811). Nothing of it is believed: the message says itself
 * whose it is. Over TLS the server is judged all the same, so that nobody sees which device asks.
 * @throws KeysteadError `peer.unreachable`, `peer.refused`, `cmp.malformed` for an answer that is no CMP message.
 */
export async function postCmp(address: string, message: Uint8Array, transport: Transport): Promise<Uint8Array> {
  const url = new URL(address);
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    throw new KeysteadError('cmp.malformed', { field: 'url', seen: address });
  }
  const answer =
    url.protocol === 'https:' ? await overTls(url, message, transport) : await plain(url, message, transport);
  const type = (answer.headers['content-type'] ?? '').split(';')[0]?.trim().toLowerCase();
  if (type === CMP_TYPE) return answer.body;
  throw new KeysteadError('cmp.malformed', { field: url.pathname, seen: `${answer.status} ${type}` });
}

async function overTls(url: URL, message: Uint8Array, transport: Transport): Promise<HttpAnswer> {
  const { clock, anchors, intermediates, timeoutMs } = transport;
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const socket = await connectMutual({ host, port: Number(url.port || 443), timeoutMs }, undefined, {
    clock,
    anchors: anchors(),
    intermediates: intermediates?.() ?? [],
  });
  const http = new HttpOverTls(socket, url.host, timeoutMs);
  try {
    return await http.send({ method: 'POST', path: url.pathname, contentType: CMP_TYPE, body: message });
  } finally {
    http.close();
  }
}

function plain(url: URL, message: Uint8Array, { timeoutMs }: Transport): Promise<HttpAnswer> {
  return new Promise((resolve, reject) => {
    const fail = (cause: Error): void =>
      reject(new KeysteadError('peer.unreachable', { field: url.host, seen: cause.message, cause }));
    const headers = { 'content-type': CMP_TYPE, 'content-length': message.length };
    const sent = request(
      url,
      { method: 'POST', headers, agent: false, signal: AbortSignal.timeout(timeoutMs) },
      (response) => {
        const parts: Buffer[] = [];
        let length = 0;
        response.on('data', (part: Buffer) => {
          length += part.length;
          if (length > LARGEST_ANSWER) response.destroy(new Error('the answer is too large'));
          else parts.push(part);
        });
        response.on('error', fail);
        response.on('end', () =>
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(parts) }),
        );
      },
    );
    sent.on('error', fail);
    sent.end(message);
  });
}
