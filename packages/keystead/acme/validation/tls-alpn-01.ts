import { isIP } from 'node:net';
import { connect, type DetailedPeerCertificate, type PeerCertificate } from 'node:tls';
import type { DerCertificate } from '@keystead/core/bytes';
import { sameBytes } from '@keystead/core/bytes';
import { sha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { hostSan, octetString, readCertificate } from '@keystead/core/x509';
import type { Trial } from '../trials.ts';
import type { Names } from './names.ts';
import type { AllowedNetworks } from './networks.ts';

/** id-pe-acmeIdentifier (RFC 8737 section 3). */
const ACME_IDENTIFIER = '1.3.6.1.5.5.7.1.31';
const PROTOCOL = 'acme-tls/1';
const LINGER_MS = 1_000;

export interface TlsRules {
  readonly networks: AllowedNetworks;
  readonly names: Names;
  readonly port: number;
}

/**
 * RFC 8737: the host answers the protocol acme-tls/1 with a certificate for the name that carries the hash of the key
 * authorization. For an address the name in SNI is its reverse one (RFC 8738 section 6).
 * @throws KeysteadError `acme.dns`, `acme.connection`, `acme.network-forbidden`, `acme.tls`, `acme.response-incorrect`.
 */
export async function tryTlsAlpn01(trial: Trial, rules: TlsRules, signal: AbortSignal): Promise<void> {
  const { value } = trial.identifier;
  const [address = ''] = rules.networks.require(await rules.names.addresses(value), value);
  const serverName = isIP(value) === 0 ? value : reverseName(value);
  const der = await certificateAt({ address, port: rules.port, serverName, name: value }, signal);
  requireAnswer(der, trial);
}

function certificateAt(
  v: { address: string; port: number; serverName: string; name: string },
  signal: AbortSignal,
): Promise<DerCertificate> {
  const field = `${v.name} at ${v.address}`;
  return new Promise((resolve, reject) => {
    const socket = connect({
      host: v.address,
      port: v.port,
      servername: v.serverName,
      ALPNProtocols: [PROTOCOL],
      minVersion: 'TLSv1.2',
      // It signs itself: what it carries is looked at instead.
      rejectUnauthorized: false,
    });
    const abort = (): void => void socket.destroy(new Error('no answer in time'));
    signal.addEventListener('abort', abort, { once: true });
    if (signal.aborted) abort();
    let connected = false;
    socket.once('connect', () => {
      connected = true;
    });
    socket.once('secureConnect', () => {
      const shown: PeerCertificate | DetailedPeerCertificate = socket.getPeerCertificate();
      if (socket.alpnProtocol !== PROTOCOL) {
        reject(new KeysteadError('acme.tls', { field, seen: `the protocol ${socket.alpnProtocol || 'none'}` }));
      } else if (shown.raw === undefined) reject(new KeysteadError('acme.tls', { field, seen: 'no certificate' }));
      else resolve(new Uint8Array(shown.raw) as DerCertificate);
      // So that the host's side of the handshake ends as it should; it is not waited for.
      socket.end();
      socket.setTimeout(LINGER_MS, () => socket.destroy());
    });
    socket.on('error', (cause) => {
      const code = 'code' in cause ? String(cause.code) : cause.message;
      reject(new KeysteadError(connected ? 'acme.tls' : 'acme.connection', { field, seen: code.slice(0, 120), cause }));
    });
    socket.once('close', () => {
      signal.removeEventListener('abort', abort);
      reject(new KeysteadError('acme.tls', { field, seen: 'the connection ended' }));
    });
  });
}

/** RFC 8737 section 3: the one name, and the critical extension with the hash. */
function requireAnswer(der: DerCertificate, { identifier, keyAuthorization }: Trial): void {
  const incorrect = (seen: string, cause?: unknown): KeysteadError =>
    new KeysteadError('acme.response-incorrect', { field: identifier.value, seen, cause });
  let shown: ReturnType<typeof readCertificate>;
  try {
    shown = readCertificate(der);
  } catch (cause) {
    throw incorrect('a certificate that is not DER by RFC 5280', cause);
  }
  const [name, ...more] = shown.san;
  if (name?.toLowerCase() !== hostSan(identifier.value).toLowerCase() || more.length > 0) {
    throw incorrect(`a certificate for ${shown.san.join(', ').slice(0, 120) || 'nobody'}`);
  }
  if (!sameBytes(shown.subjectDer, shown.issuerDer)) throw incorrect('a certificate that another has signed');
  const extension = shown.extensions.find(({ oid }) => oid === ACME_IDENTIFIER);
  if (extension === undefined) throw incorrect('no acmeIdentifier');
  if (!extension.critical) throw incorrect('an acmeIdentifier that is not critical');
  if (!sameBytes(extension.value, octetString(sha256(Buffer.from(keyAuthorization, 'ascii'))))) {
    throw incorrect('the acmeIdentifier of another key authorization');
  }
}

/** The name of an address in the reverse tree (RFC 1035 section 3.5, RFC 3596 section 2.5). */
export function reverseName(address: string): string {
  if (isIP(address) === 4) return `${address.split('.').reverse().join('.')}.in-addr.arpa`;
  const groups = new URL(`http://[${address}]`).hostname.slice(1, -1).split('::');
  const [head = [], tail = []] = groups.map((part) => (part === '' ? [] : part.split(':')));
  const zeros = Array<string>(8 - head.length - tail.length).fill('0');
  const nibbles = [...head, ...(groups.length > 1 ? zeros : []), ...tail]
    .map((group) => group.padStart(4, '0'))
    .join('');
  return `${[...nibbles].reverse().join('.')}.ip6.arpa`;
}
