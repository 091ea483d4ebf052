import type { DeviceIdentity, PeerRules } from '@keystead/agent';
import type { DerCertificate } from '@keystead/core/bytes';
import { SecretBytes } from '@keystead/core/crypto';
import { readCertificate } from '@keystead/core/x509';
import { Fleet } from '../../../../agent/tests/fleet.ts';
import { TestResponder } from '../../../../agent/tests/responder.ts';
import {
  type CertificateWish,
  cn,
  pkcs8Of,
  serverCertificate,
  testKey,
  USAGE,
} from '../../../../agent/tests/test-ca.ts';
import type { BackendConfig } from '../config.ts';

/** A fleet on the real clock with its OCSP responder and a certificate for the backend. */
export class Rig {
  readonly fleet = new Fleet(new Date(Math.floor(Date.now() / 1000) * 1000));
  readonly clock = { now: () => new Date() };
  readonly responder = new TestResponder(this.fleet.operational, this.clock);
  readonly #server = serverCertificate(this.fleet.server, this.fleet.start, this.fleet.end);

  static async start(): Promise<Rig> {
    const rig = new Rig();
    await rig.responder.listen();
    return rig;
  }

  get config(): BackendConfig {
    return {
      host: '127.0.0.1',
      port: 0,
      statusPort: 0,
      certificates: [this.#server.certificate, ...this.#server.chain],
      anchors: [this.fleet.root.certificate],
      deviceIssuers: [this.fleet.operational.certificate],
      ocspCacheMs: 500,
      keyFrom: 'fd3',
    };
  }

  /** A fresh copy of the backend's key, PKCS#8. */
  key(): SecretBytes {
    return SecretBytes.take(pkcs8Of(this.#server.key.privateKey));
  }

  get rules(): Omit<PeerRules, 'extKeyUsage' | 'expected'> {
    return { clock: this.clock, anchors: [this.fleet.root.certificate] };
  }

  device(deviceId: string, wish: Partial<CertificateWish> = {}, ca = this.fleet.operational): DeviceIdentity {
    const key = testKey();
    const now = this.clock.now().getTime();
    const certificate = ca.issue({
      subject: cn(deviceId),
      spki: key.spki,
      notBefore: new Date(now - 30_000),
      notAfter: new Date(now + 90_000),
      san: [[6, `urn:keystead:device:${deviceId}`]],
      extKeyUsage: [USAGE.clientAuth],
      ocspUrl: this.responder.url,
      ...wish,
    });
    return { deviceId, certificate, chain: ca.chain, withKey: (use) => use(pkcs8Of(key.privateKey)) };
  }

  revoke({ certificate }: { certificate: DerCertificate }): void {
    this.responder.statuses.set(readCertificate(certificate).serial, {
      status: 'revoked',
      revokedAt: this.clock.now(),
      reason: 'keyCompromise',
    });
  }

  stop(): Promise<void> {
    return this.responder.stop();
  }
}
