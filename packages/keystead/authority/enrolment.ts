import { KeysteadError } from '@keystead/core/errors';
import { operatorOf, STATION_PROFILE } from '@keystead/core/lifecycle';
import type { RequestFormat } from '@keystead/core/x509';
import { actorOf, type Client, type DeviceClient, type OperatorClient } from '../access/index.ts';
import type { AuditEvent } from '../audit/index.ts';
import type { Certificate, Reader, Tx } from '../store/index.ts';
import type { Certification, Order } from './certification.ts';
import type { AuthorityDeps } from './deps.ts';
import type { Issued } from './issued.ts';
import { KeyTaken } from './key-claims.ts';

/** A request of an authenticated device. */
export interface DeviceRequest {
  readonly client: Client;
  /** A profile of devices; `ldevid` unless given. */
  readonly profile?: string;
  /** The request, DER: PKCS#10 unless `format` says otherwise. */
  readonly csr: Uint8Array;
  readonly format?: RequestFormat;
  /** The CMP message in which the device signed the request, DER, for keyd to verify. */
  readonly message?: Uint8Array;
  readonly requestId: string;
  /** As in {@link Order}. */
  alongside?(tx: Tx, certificate: Certificate): void;
}

/** The profile of devices where a request names none. */
const LDEVID = 'ldevid';

/** Who may have which certificate: devices, people, servers, stations, and those who answer for serve itself. */
export class Enrolment {
  readonly #deps: AuthorityDeps;
  readonly #certification: Certification;
  readonly #graceSeconds: number | undefined;

  /** @param graceSeconds the policy's unless given. */
  constructor(deps: AuthorityDeps, certification: Certification, graceSeconds: number | undefined) {
    this.#deps = deps;
    this.#certification = certification;
    this.#graceSeconds = graceSeconds;
  }

  /** How long after the end of its LDevID, or after a readmission, a device may recover by its IDevID. */
  get graceSeconds(): number {
    return this.#graceSeconds ?? this.#deps.policy.grace.renewalSeconds;
  }

  /**
   * The first LDevID of a device that shows its IDevID, or the recovery of one that renewed too late
   * (RFC 7030 section 4.2.1). REQ-KEY-ROT-01
   * @throws KeysteadError `enrol.certificate-unfit`, `device.blocked`, `renewal.grace-ended`, `key.already-used`,
   *   `csr.*`, `key.*` and what keyd refuses, each audited; `store.*`, `keyd.unreachable`, `clock.went-back`.
   */
  enrol(request: DeviceRequest): Promise<Issued> {
    const { profile = LDEVID } = request;
    return this.#device(request, 'enrol', 'idevid', (records, device) => this.requireInGrace(records, device, profile));
  }

  /**
   * Whether a device that shows its IDevID may have an LDevID once more, or asks too late.
   * @throws KeysteadError `renewal.grace-ended`.
   */
  requireInGrace(records: Reader, device: DeviceClient, profile: string): void {
    const last = records.lastOfDevice(device.id, profile);
    if (last === undefined) return;
    const readmitted = records.device(device.id)?.readmittedAt ?? 0;
    const until = Math.max(last.notAfter, readmitted) + this.graceSeconds * 1000;
    if (this.#deps.clock.now().getTime() > until) {
      throw new KeysteadError('renewal.grace-ended', { field: profile, seen: `ended ${isoTime(last.notAfter)}` });
    }
  }

  /**
   * The next LDevID of a device that shows its current one (RFC 7030 section 4.2.2), for a new key. REQ-KEY-ROT-01
   * @throws KeysteadError as {@link enrol} does, but for `renewal.grace-ended`.
   */
  reenrol(request: DeviceRequest): Promise<Issued> {
    return this.#device(request, 'reenrol', request.profile ?? LDEVID, () => {});
  }

  /**
   * A certificate for an operator whose key stands in the policy under this name. Who asks again, for the answer was
   * lost, gets the one that is in force; when it has ended, the next. One that was revoked has no successor.
   * @throws KeysteadError as keyd; `key.already-used`.
   */
  operator(v: { name: string; csr: Uint8Array; requestId: string; client?: OperatorClient }): Promise<Issued> {
    const { name, csr, requestId, client } = v;
    return this.#certification.certify({
      what: 'operator certificate',
      csr,
      profile: 'operator',
      owner: `operator:${name}`,
      subject: { person: name },
      keepsKey: true,
      actor: client === undefined ? { kind: 'system', id: 'serve' } : actorOf(client),
      // Who shows no certificate may be anybody, and the log bounds how many entries anybody can cause.
      asker: client === undefined ? { kind: 'anonymous', id: 'unknown' } : undefined,
      requestId,
      // keyd gives the certificate to the key that the policy names for this person, whoever asks.
      requester: { kind: client?.kind ?? 'system', id: name, certificate: client?.certificate },
      allowed: () => {
        if (operatorOf(this.#deps.policy, name) === undefined) {
          throw new KeysteadError('operator.unknown', { field: 'name', seen: name });
        }
      },
    });
  }

  /** A certificate for who signs the answers of CMP, or opens and answers SCEP. @throws KeysteadError as keyd. */
  registrationAuthority(v: { profile: 'cmp-ra' | 'scep-ra'; csr: Uint8Array; requestId: string }): Promise<Issued> {
    return this.#certification.certify({
      what: 'certificate of the registration authority',
      ...v,
      owner: `system:keystead ${v.profile}`,
      subject: {},
      actor: { kind: 'system', id: 'serve' },
      requester: { kind: 'system', id: 'serve' },
      allowed: () => {},
    });
  }

  /**
   * A certificate for a TLS server with these host names and addresses. Only serve itself keeps a key through several.
   * @throws KeysteadError as keyd.
   */
  server(v: {
    hosts: string[];
    csr: Uint8Array;
    requestId: string;
    actor: AuditEvent['actor'];
    renews?: boolean;
  }): Promise<Issued> {
    const { hosts, csr, requestId, actor } = v;
    return this.#certification.certify({
      what: 'server certificate',
      csr,
      profile: 'tls-server',
      // With a blank, which no host name has: a server of another name is never taken for one of our own processes.
      owner: actor.kind === 'system' ? `system:keystead ${actor.id}` : `system:${hosts[0] ?? ''}`,
      subject: { hosts },
      actor,
      requestId,
      requester: { kind: 'system', id: 'serve' },
      hosts,
      renews: v.renews === true && actor.kind === 'system',
      allowed: () => {},
    });
  }

  /**
   * A certificate for a station at a line, by an order that the operator signed, which keyd verifies. REQ-KEY-PROV-01
   * @throws KeysteadError as keyd; `key.already-used`.
   */
  station(v: { station: string; csr: Uint8Array; order: string; client: OperatorClient; requestId: string }) {
    const { station, csr, order, client, requestId } = v;
    return this.#certification.certify({
      what: 'station certificate',
      csr,
      profile: STATION_PROFILE,
      owner: `station:${station}`,
      subject: { hosts: [station] },
      actor: actorOf(client),
      requestId,
      requester: { ...requesterOf(client), order },
      hosts: [station],
      allowed: () => {},
    });
  }

  async #device(
    request: DeviceRequest,
    what: 'enrol' | 'reenrol',
    shown: string,
    allowed: (records: Reader, device: DeviceClient) => void,
  ): Promise<Issued> {
    const { client, csr, format, requestId, profile = LDEVID } = request;
    const actor = actorOf(client);
    if (client.kind !== 'device' || client.profile !== shown) {
      const error = new KeysteadError('enrol.certificate-unfit', { field: 'client certificate', seen: client.profile });
      await this.#deps.refusals.refused({ what, error, actor, requestId });
      throw error;
    }
    return this.#certification.certify({
      what,
      csr,
      format,
      profile,
      owner: `device:${client.id}`,
      subject: { deviceId: client.id },
      actor,
      requestId,
      requester: { ...requesterOf(client), message: request.message },
      allowed: (records, claim) => {
        requireUsable(records, client);
        // The certificate that is shown would otherwise renew itself with the key that is to be replaced.
        if (claim.spkiSha256 === client.spkiSha256) throw new KeyTaken(claim.owner);
        allowed(records, client);
      },
      alongside: (tx, certificate) => {
        request.alongside?.(tx, certificate);
        if (tx.device(client.id)?.state !== 'provisioned') return;
        tx.setDeviceState(client.id, 'enrolled', this.#deps.clock.now().getTime());
      },
    });
  }
}

/** @throws KeysteadError `device.unknown`, `device.blocked`, `client.certificate-revoked`. */
export function requireUsable(records: Reader, client: DeviceClient): void {
  const device = records.device(client.id);
  if (device === undefined) throw new KeysteadError('device.unknown', { field: 'device', seen: client.id });
  if (device.state === 'stolen' || device.state === 'decommissioned') {
    throw new KeysteadError('device.blocked', { field: client.id, seen: device.state });
  }
  if (records.statusOf(client.issuer, client.serial)?.status !== 'good') {
    throw new KeysteadError('client.certificate-revoked', { field: 'client certificate', seen: client.serial });
  }
}

const requesterOf = ({ kind, id, certificate }: Client): Order['requester'] => ({ kind, id, certificate });

const isoTime = (ms: number): string => new Date(ms).toISOString();
