import type { ConnectionOptions, SecureContext, TlsOptions } from 'node:tls';
import { createSecureContext } from 'node:tls';
import { toPem } from '@keystead/core/bytes';
import type { DeviceIdentity } from '../state/index.ts';
import { withPemKey } from './key-pem.ts';

/**
 * TLS 1.3 only: its exporter is sound without extensions, its handshake hides the certificates from listeners,
 * and every peer of a device is of the same age as the device.
 */
const VERSION = { minVersion: 'TLSv1.3', maxVersion: 'TLSv1.3' } as const;

/** What shows itself in a handshake: a device, or a station by its operator's certificate. */
export type TlsIdentity = Pick<DeviceIdentity, 'certificate' | 'chain' | 'withKey'>;

/** Certificates leaf first, as TLS sends them, PEM. */
const chainPem = (identity: Pick<DeviceIdentity, 'certificate' | 'chain'>): string =>
  [identity.certificate, ...identity.chain].map((der) => toPem('CERTIFICATE', der)).join('');

function contextOf(identity: TlsIdentity | undefined): SecureContext {
  if (identity === undefined) return createSecureContext({ ...VERSION });
  return identity.withKey((pkcs8) =>
    withPemKey(pkcs8, (key) => createSecureContext({ ...VERSION, key, cert: chainPem(identity) })),
  );
}

/**
 * Options for `tls.connect`. `rejectUnauthorized` is off on purpose: node:tls would judge by the system's clock
 * and its own rules; the peer is judged by `verifyPeer` instead, before the first byte is sent. Whoever uses
 * these options must call it; `connectMutual` does.
 */
export function clientTlsOptions(identity: TlsIdentity | undefined): ConnectionOptions {
  return { ...VERSION, secureContext: contextOf(identity), rejectUnauthorized: false };
}

/**
 * Calls `create` with options for `tls.createServer` or `https.createServer`, and returns what it made: client
 * certificates are asked for, and must be judged by `verifyPeer` (see `clientTlsOptions` for why). The key is
 * wiped when `create` returns; the server has read it by then.
 */
export function createTlsServer<T>(identity: TlsIdentity, create: (options: TlsOptions) => T): T {
  return identity.withKey((pkcs8) =>
    withPemKey(pkcs8, (key) =>
      create({ ...VERSION, key, cert: chainPem(identity), requestCert: true, rejectUnauthorized: false }),
    ),
  );
}
