import type { DerCertificate, Serial } from '@keystead/core/bytes';
import type { Clock } from '@keystead/core/clock';
import { KeysteadError } from '@keystead/core/errors';
import {
  type IssuerId,
  type ListedIssuer,
  operatorOf,
  type Permission,
  type Policy,
  permits,
  STATION_PROFILE,
} from '@keystead/core/lifecycle';
import { readCertificate } from '@keystead/core/x509';
import type { AuditEvent } from '../audit/index.ts';
import type { Certificate, Store } from '../store/index.ts';
import { ClientCertificates, type FactoryCas } from './certificates.ts';
import type { Client } from './client.ts';
import type { OutsideOperators } from './outside-operators.ts';
import type { RefusalLog } from './refusals.ts';

export interface AccessDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly policy: Policy;
  readonly refusals: RefusalLog;
  /** The CAs whose certificates clients may show. */
  readonly cas: Readonly<Partial<Record<IssuerId, DerCertificate>>>;
  /** The sub-CAs of factories whose IDevIDs they may show; without it there are none. */
  factories?(): FactoryCas;
  /** At a factory node: the operators of headquarters. */
  readonly operators?: OutsideOperators;
  /** Whether one of them was revoked since: what it issued proves nobody from then on. */
  readonly isRevoked?: (issuer: IssuerId) => boolean;
}

/** One request, as every refusal of it is audited. */
export interface Asked {
  readonly requestId: string;
  /** What is asked for, for example `enrol`. */
  readonly what: string;
  /** What it is about, for example `{device: 'pump-7'}`. */
  readonly subject?: AuditEvent['subject'];
}

const STATIONS_REMEMBERED = 4096;

/** Who is calling, and what they may do. Every refusal is audited before it is thrown. */
export class Access {
  readonly #deps: AccessDeps;
  readonly #certificates: ClientCertificates;
  readonly #stations = new Map<string, string>();

  constructor(deps: AccessDeps) {
    this.#deps = deps;
    this.#certificates = new ClientCertificates(deps.cas, deps.isRevoked, () => deps.factories?.() ?? []);
  }

  /**
   * Who shows this certificate, DER, that was proven in the TLS handshake. One of ours that is refused proves nobody; the
   * entry of the refusal says whose it was, so that it is seen who came back. REQ-KEY-WIPE-01
   * @throws KeysteadError `client.certificate-*`, all of the kind `unauthenticated`.
   */
  async identify(certificate: Uint8Array | undefined, asked: Asked): Promise<Client> {
    try {
      const now = this.#deps.clock.now();
      const outside = certificate && this.#deps.operators?.client(certificate, now);
      if (outside !== undefined) return outside;
      return this.#clientOf(this.#deps.store.read((records) => this.#certificates.check(certificate, now, records)));
    } catch (error) {
      if (error instanceof KeysteadError && error.kind === 'unauthenticated') {
        const subject = { ...this.#whose(certificate), ...asked.subject };
        await this.#deps.refusals.refused({ ...asked, subject, error, actor: { kind: 'anonymous', id: 'unknown' } });
      }
      throw error;
    }
  }

  /**
   * Whether an operator's roles hold `permission`.
   * @throws KeysteadError `access.forbidden`, also for a device.
   */
  async authorise(client: Client, permission: Permission, asked: Asked): Promise<void> {
    if (client.kind === 'operator' && permits(client.roles, permission)) return;
    const roles = client.kind === 'operator' ? client.roles.join(', ') || 'no role in the policy' : `a ${client.kind}`;
    const error = new KeysteadError('access.forbidden', { field: permission, seen: `${client.id}: ${roles}` });
    await this.#deps.refusals.refused({ ...asked, error, actor: actorOf(client), detail: { permission } });
    throw error;
  }

  /** Audits a refusal that a protocol found before anything was asked of the domain: a body that is no request. */
  async refused(error: KeysteadError, asked: Asked, who?: Client | AuditEvent['actor']): Promise<void> {
    const actor: AuditEvent['actor'] =
      who === undefined ? { kind: 'anonymous', id: 'unknown' } : { kind: who.kind, id: who.id };
    await this.#deps.refusals.refused({ ...asked, error, actor });
  }

  #whose(certificate: Uint8Array | undefined): Asked['subject'] {
    if (certificate === undefined) return {};
    const record = this.#deps.store.read((records) => this.#certificates.recordOf(certificate, records));
    if (record === undefined) return {};
    if (record.deviceId !== null) return { device: record.deviceId };
    return record.operator === null ? {} : { operator: record.operator };
  }

  /** The host in a station's certificate, which is read once and not for each unit. */
  #stationOf({
    issuer,
    serial,
    certificate,
  }: {
    issuer: ListedIssuer;
    serial: Serial;
    certificate: DerCertificate;
  }): string {
    const key = `${issuer} ${serial}`;
    const name = this.#stations.get(key) ?? (readCertificate(certificate).san[0] ?? '').replace(/^DNS:/, '');
    if (this.#stations.size >= STATIONS_REMEMBERED) this.#stations.clear();
    this.#stations.set(key, name);
    return name;
  }

  #clientOf(record: Certificate & { readonly issuer: ListedIssuer }): Client {
    const { issuer, serial, spkiSha256, profile } = record;
    const proven = { issuer, serial, spkiSha256, profile, certificate: record.der as DerCertificate };
    if (record.deviceId !== null) return { ...proven, kind: 'device', id: record.deviceId };
    if (record.operator !== null) {
      const roles = operatorOf(this.#deps.policy, record.operator)?.roles ?? [];
      return { ...proven, kind: 'operator', id: record.operator, roles };
    }
    if (profile === STATION_PROFILE) {
      return { ...proven, kind: 'station', id: this.#stationOf(proven) };
    }
    throw new KeysteadError('client.certificate-unsuitable', { field: 'client certificate', seen: record.subject });
  }
}

/** A client as audit entries name it. */
export const actorOf = (client: Client): AuditEvent['actor'] => ({ kind: client.kind, id: client.id });
