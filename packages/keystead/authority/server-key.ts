import type { DerCertificate } from '@keystead/core/bytes';
import { toHex } from '@keystead/core/bytes';
import { sha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import type { IssuerId } from '@keystead/core/lifecycle';
import { type ParsedCsr, parseCsr, readCertificate } from '@keystead/core/x509';
import { actorOf, type Client, type DeviceClient } from '../access/index.ts';
import type { Certificate, Reader, Tx } from '../store/index.ts';
import { inForce, revokeAll, type Standing } from './certificate-changes.ts';
import type { AuthorityDeps } from './deps.ts';
import { type Enrolment, requireUsable } from './enrolment.ts';
import type { CertificateRecords, Issued, Signed } from './issued.ts';
import { issuedOf } from './issued.ts';
import type { KeyClaim } from './key-claims.ts';
import type { StatusListener } from './status.ts';
import { requireClock } from './time.ts';

export interface ServerKeyRequest {
  readonly client: Client;
  readonly profile: string;
  /** PKCS#10, DER; its key is not the one that is certified. */
  readonly csr: Uint8Array;
  readonly requestId: string;
}

/** A certificate with the key that keyd made for it. */
export interface ServerKey extends Issued {
  /** CMS, DER: only the device opens it. */
  readonly envelope: Uint8Array;
}

type Recorded =
  | { readonly certificate: Certificate & { issuer: IssuerId }; readonly superseded: readonly Standing[] }
  | { readonly refused: KeysteadError };

/**
 * Keys that keyd makes for devices (RFC 7030 section 4.4). What is recorded is the certificate; the wrapped key goes
 * through and is kept by nobody, so that who asks again, for the answer was lost, gets another key, and the certificate
 * of the one before is revoked as superseded: nobody holds its key.
 */
export class ServerKeys {
  readonly #deps: AuthorityDeps;
  readonly #records: CertificateRecords;
  readonly #enrolment: Enrolment;
  readonly #changed: StatusListener;
  readonly #publish: (revoked: readonly Standing[]) => Promise<boolean>;

  /**
   * @param changed called after the COMMIT of every change of status, before the answer.
   * @param publish makes CRLs that list what was revoked; whether they are out by now.
   */
  constructor(
    deps: AuthorityDeps,
    records: CertificateRecords,
    enrolment: Enrolment,
    announce: { changed: StatusListener; publish: (revoked: readonly Standing[]) => Promise<boolean> },
  ) {
    this.#deps = deps;
    this.#records = records;
    this.#enrolment = enrolment;
    this.#changed = announce.changed;
    this.#publish = announce.publish;
  }

  /**
   * @throws KeysteadError `server-key.*`, `enrol.certificate-unfit`, `device.blocked`, `renewal.grace-ended`, `csr.*` and
   *   what keyd refuses, each audited; `store.*`, `keyd.unreachable`, `clock.went-back`.
   */
  async issue(request: ServerKeyRequest): Promise<ServerKey> {
    const { client, requestId } = request;
    try {
      return await this.#deps.claims.during(requestId, () => this.#issue(request));
    } catch (error) {
      if (error instanceof KeysteadError && error.kind !== 'unavailable') {
        await this.#deps.refusals.refused({ what: 'serverkeygen', error, actor: actorOf(client), requestId });
      }
      throw error;
    }
  }

  async #issue(request: ServerKeyRequest): Promise<ServerKey> {
    const { profile, csr: der, requestId } = request;
    const device = deviceOf(request.client);
    const csr = parseCsr(der);
    if (csr.decryptKeyIdentifier)
      throw new KeysteadError('server-key.symmetric', { field: 'DecryptKeyIdentifier', seen: 'the attribute' });
    const recipient = this.#deps.store.read((records) => {
      requireClock(this.#deps);
      this.#allowed(records, device, profile);
      return this.#recipient(records, device, csr);
    });
    const { envelope, ...signed } = await this.#deps.keyd.issueServerKey({
      profile,
      csr: der,
      device: { id: device.id, certificate: device.certificate },
      recipient,
      requestId,
    });
    const claim: KeyClaim = {
      spkiSha256: signed.spkiSha256,
      owner: `device:${device.id}`,
      profile,
      csrSha256: toHex(sha256(csr.der)),
      requestId,
    };
    const recorded = await this.#deps.store.commit((tx) => this.#record(tx, device, claim, signed, recipient));
    this.#changed(signed.issuer, signed.serial);
    if ('refused' in recorded) throw recorded.refused;
    for (const { issuer, serial } of recorded.superseded) this.#changed(issuer, serial);
    // The CRL may come later; that the certificates are revoked is recorded.
    if (recorded.superseded.length > 0) await this.#publish(recorded.superseded);
    return { ...issuedOf(recorded.certificate, recorded.certificate.issuer), repeated: false, envelope };
  }

  /** A device that shows its IDevID asks for its first one, or recovers; any other renews what it shows. */
  #allowed(records: Reader, device: DeviceClient, profile: string): void {
    requireUsable(records, device);
    if (device.profile === 'idevid') this.#enrolment.requireInGrace(records, device, profile);
    else if (device.profile !== profile) throw unfit(device);
  }

  /** The certificate to wrap to: the one that is shown, or the one of the device that the request names. */
  #recipient(records: Reader, device: DeviceClient, csr: ParsedCsr): DerCertificate {
    const wanted = csr.asymmetricDecryptKeyIdentifier;
    if (wanted === undefined) return device.certificate;
    const ski = toHex(wanted);
    const found = inForce(records, device.id, this.#deps.clock.now()).find(
      ({ der, status }) => status === 'good' && readCertificate(der).ski === ski,
    );
    if (found !== undefined) return found.der as DerCertificate;
    throw new KeysteadError('server-key.recipient-unknown', { field: 'AsymmetricDecryptKeyIdentifier', seen: ski });
  }

  /** Between keyd's signature and now the device may have been blocked: then the key is given to nobody. */
  #record(tx: Tx, device: DeviceClient, claim: KeyClaim, signed: Signed, recipient: DerCertificate): Recorded {
    const now = this.#deps.clock.now();
    const actor = actorOf(device);
    try {
      this.#allowed(tx, device, claim.profile);
      const earlier = inForce(tx, device.id, now).filter((one) => this.#isEarlier(one, claim, device));
      const detail = { keyOrigin: 'keyd', wrappedTo: readCertificate(recipient).serial };
      const subject = { deviceId: device.id };
      const { certificate } = this.#records.record(tx, { claim, signed, subject, actor, now, detail });
      if (tx.device(device.id)?.state === 'provisioned') tx.setDeviceState(device.id, 'enrolled', now.getTime());
      const { requestId } = claim;
      const superseded = revokeAll(tx, this.#deps.audit, {
        certificates: earlier,
        reason: 'superseded',
        actor,
        requestId,
        now,
      });
      return { certificate, superseded };
    } catch (error) {
      if (!(error instanceof KeysteadError) || error.kind === 'unavailable') throw error;
      const about = { claim, signed, subject: claim.owner, why: error.code, signedAt: now, now };
      this.#records.abandon(tx, about);
      return { refused: error };
    }
  }

  /** One that was given for the very same request. The one that is shown is used, so its key did arrive. */
  #isEarlier(one: Certificate, claim: KeyClaim, shown: DeviceClient): boolean {
    return (
      one.status === 'good' &&
      one.csrSha256 === claim.csrSha256 &&
      one.profile === claim.profile &&
      one.serial !== shown.serial
    );
  }
}

/** @throws KeysteadError `enrol.certificate-unfit`. */
function deviceOf(client: Client): DeviceClient {
  if (client.kind === 'device') return client;
  throw unfit(client);
}

const unfit = ({ profile }: Client): KeysteadError =>
  new KeysteadError('enrol.certificate-unfit', { field: 'client certificate', seen: profile });
