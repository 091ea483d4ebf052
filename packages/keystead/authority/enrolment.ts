import type { DerCertificate, Serial } from '@keystead/core/bytes';
import { spkiSha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { operatorOf, STATION_PROFILE } from '@keystead/core/lifecycle';
import {
  type ParsedCsr,
  parseRequest,
  type RequestFormat,
  requestSha256,
  verifyProofOfPossession,
} from '@keystead/core/x509';
import { actorOf, type Client, type DeviceClient, type OperatorClient } from '../access/index.ts';
import type { AuditEvent } from '../audit/index.ts';
import type { Certificate, Reader, Tx } from '../store/index.ts';
import type { AuthorityDeps, Signing } from './deps.ts';
import { type CertificateRecords, type Issued, ownIssuer, type Signed, type Subject } from './issued.ts';
import { type KeyClaim, KeyTaken, keyVerdict } from './key-claims.ts';
import type { StatusListener } from './status.ts';
import { requireClock } from './time.ts';

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

/** One certificate that somebody may have, and what must be true for it. */
export interface Order {
  readonly what: string;
  readonly csr: Uint8Array;
  readonly format?: RequestFormat;
  readonly profile: string;
  readonly owner: string;
  readonly subject: Subject;
  readonly actor: AuditEvent['actor'];
  /** Who is refused, when it is not the one in whose name a success would be. */
  readonly asker?: AuditEvent['actor'];
  readonly requestId: string;
  readonly requester: Parameters<Signing['issue']>[0]['requester'];
  readonly hosts?: string[];
  /** Whether the owner has one key for good, which the policy names, and so the next certificate is for it again. */
  readonly keepsKey?: boolean;
  /** Whether the owner asks for the next certificate over a key that it keeps, before the one that is in force ends. */
  readonly renews?: boolean;
  /** What must be true, and still be true when the certificate is recorded. @throws KeysteadError */
  allowed(records: Reader, claim: KeyClaim): void;
  /** What else is recorded with the certificate, in the same transaction. */
  alongside?(tx: Tx, certificate: Certificate): void;
}

type Found = { readonly earlier: Omit<Issued, 'repeated'> } | { readonly follows?: Serial };

/** What becomes of a signature when it is to be recorded. */
type Recorded =
  | { readonly certificate: Certificate & { issuer: Issued['issuer'] } }
  | { readonly refused: KeysteadError };

/**
 * From a request to a recorded certificate. The order is what makes a crash at any point repairable: keyd writes
 * its journal before it gives a signature out, the records are durable before the certificate leaves, and what lies
 * between the two is found by reconciliation.
 */
export class Enrolment {
  readonly #deps: AuthorityDeps;
  readonly #records: CertificateRecords;
  readonly #graceSeconds: number | undefined;
  readonly #changed: StatusListener;

  /**
   * @param graceSeconds the policy's unless given.
   * @param changed called after the COMMIT of every change of status, before the answer.
   */
  constructor(
    deps: AuthorityDeps,
    records: CertificateRecords,
    graceSeconds: number | undefined,
    changed: StatusListener,
  ) {
    this.#deps = deps;
    this.#records = records;
    this.#graceSeconds = graceSeconds;
    this.#changed = changed;
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
    return this.certify({
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
    return this.certify({
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
    return this.certify({
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
    return this.certify({
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
    return this.certify({
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

  /** Signs and records what an order asks for. @throws KeysteadError as {@link enrol}. */
  async certify(order: Order): Promise<Issued> {
    const { what, actor, asker = actor, requestId, csr, format } = order;
    try {
      const request = parseRequest(csr, format);
      const csrSha256 = requestSha256(request);
      const key = spkiSha256(request.spki);
      const claim = { spkiSha256: key, owner: order.owner, profile: order.profile, csrSha256, requestId };
      const found = this.#deps.store.read((records) => {
        requireClock(this.#deps);
        return this.#lookUp(records, order, claim, request);
      });
      if ('earlier' in found) return { ...found.earlier, repeated: true };
      const { value, shared } = await this.#deps.claims.share(claim, () =>
        this.#signAndRecord(order, { ...claim, ...found }),
      );
      return { ...value, repeated: shared };
    } catch (error) {
      await this.#auditRefusal(error, { what, actor: asker, requestId, owner: order.owner });
      throw error;
    }
  }

  /** The certificate that this request already got, or that one may be signed, and which it follows. */
  #lookUp(records: Reader, order: Order, claim: KeyClaim, request: ParsedCsr): Found {
    order.allowed(records, claim);
    const verdict = keyVerdict(records, claim);
    if (verdict.kind === 'free') return {};
    if (verdict.kind === 'certified') {
      const { issuer, serial } = verdict.use;
      const earlier = issuer === null || serial === null ? undefined : records.certificate(issuer, serial);
      // What a CA made that the root has revoked since is of no use to anybody.
      const believed = this.#deps.issuers.find(({ id }) => id === issuer)?.revoked !== true;
      if (order.renews === true && earlier?.status === 'good') {
        verifyProofOfPossession(request);
        return { follows: earlier.serial };
      }
      if (earlier !== undefined && believed && this.#repeats(earlier, claim))
        return { earlier: issuedOf(earlier, ownIssuer(earlier)) };
      if (order.keepsKey === true && earlier?.status === 'good') {
        verifyProofOfPossession(request);
        if (!believed || this.#deps.clock.now().getTime() > earlier.notAfter) return { follows: earlier.serial };
        return { earlier: issuedOf(earlier, ownIssuer(earlier)) };
      }
    }
    // Only a holder of the key is reported as the second one: a public key alone can be copied by anybody.
    verifyProofOfPossession(request);
    throw new KeyTaken(verdict.kind === 'taken' ? verdict.owner : claim.owner);
  }

  #repeats(earlier: Certificate, claim: KeyClaim): boolean {
    const now = this.#deps.clock.now().getTime();
    const same = earlier.csrSha256 === claim.csrSha256 && earlier.profile === claim.profile;
    return same && earlier.status === 'good' && now <= earlier.notAfter;
  }

  async #signAndRecord(order: Order, claim: KeyClaim): Promise<Omit<Issued, 'repeated'>> {
    const { profile, csr, format, requester, hosts, requestId } = order;
    const signed = await this.#deps.keyd.issue({ profile, csr, format, requester, hosts, requestId });
    const recorded = await this.#deps.store.commit((tx) => this.#recordOrAbandon(tx, order, claim, signed));
    this.#changed(signed.issuer, signed.serial);
    if ('refused' in recorded) throw recorded.refused;
    return issuedOf(recorded.certificate, recorded.certificate.issuer);
  }

  /** Between keyd's signature and now the device may have been blocked: then the signature is given to nobody. */
  #recordOrAbandon(tx: Tx, order: Order, claim: KeyClaim, signed: Signed): Recorded {
    const now = this.#deps.clock.now();
    const { subject, actor } = order;
    try {
      order.allowed(tx, claim);
      const { certificate } = this.#records.record(tx, { claim, signed, subject, actor, now });
      order.alongside?.(tx, certificate);
      return { certificate };
    } catch (error) {
      if (!(error instanceof KeysteadError) || error.kind === 'unavailable') throw error;
      const about = { claim, signed, subject: order.owner, why: error.code, signedAt: now, now };
      this.#records.abandon(tx, about);
      return { refused: error };
    }
  }

  async #auditRefusal(
    error: unknown,
    v: { what: string; actor: AuditEvent['actor']; requestId: string; owner: string },
  ): Promise<void> {
    if (!(error instanceof KeysteadError) || error.kind === 'unavailable') return;
    const { what, actor, requestId, owner } = v;
    const detail = error instanceof KeyTaken ? { owner: error.owner } : undefined;
    await this.#deps.refusals.refused({ what, error, actor, requestId, subject: { for: owner }, detail });
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

export const issuedOf = (record: Certificate, issuer: Issued['issuer']): Omit<Issued, 'repeated'> => ({
  certificate: record.der as DerCertificate,
  issuer,
  serial: record.serial,
  notBefore: new Date(record.notBefore),
  notAfter: new Date(record.notAfter),
});

const isoTime = (ms: number): string => new Date(ms).toISOString();
