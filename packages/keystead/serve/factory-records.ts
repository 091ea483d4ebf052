import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { DerCertificate, DerCrl } from '@keystead/core/bytes';
import type { Clock } from '@keystead/core/clock';
import { certSha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import {
  FACTORY_SLOTS,
  type FactoryIssuerId,
  type FactorySlot,
  factoryIssuerId,
  OFFLINE_CAS,
} from '@keystead/core/lifecycle';
import { formatName, readCertificate, readCrl } from '@keystead/core/x509';
import type { AppendAudit, RefusalLog } from '../access/index.ts';
import type { AuditEvent } from '../audit/index.ts';
import type { Authority, KeyClaims } from '../authority/index.ts';
import type { Layout } from '../files/layout.ts';
import { keepFactoryKeys } from '../inventory/index.ts';
import type { KeydClient, Result } from '../keyd-client/index.ts';
import type { Store, Tx } from '../store/index.ts';

type Known = Result<'factories'>['factories'][number];
type Act = Known['acts'][number];

export interface FactoryDeps {
  readonly store: Store;
  readonly keyd: Pick<KeydClient, 'factories' | 'commissionFactory' | 'factoryCommission'>;
  readonly audit: AppendAudit;
  readonly refusals: RefusalLog;
  readonly claims: KeyClaims;
  readonly clock: Clock;
  readonly layout: Layout;
}

export interface FactoryOrder {
  /** The file of the node's request. */
  readonly request: Uint8Array;
  readonly statements: readonly string[];
  readonly actor: AuditEvent['actor'];
  readonly requestId: string;
}

/** A factory's manufacturing sub-CA, for which headquarters keeps the list. */
export interface FactoryCa {
  readonly id: FactoryIssuerId;
  readonly certificate: DerCertificate;
  /** False of one whose certificate was revoked when the factory was closed. */
  readonly believed: boolean;
}

/** How many acts of each factory stand in the log. */
const recordedKey = (factory: string): string => `factory.recorded.${factory}`;
const SYSTEM: AuditEvent['actor'] = { kind: 'system', id: 'serve' };
/** A longer list is left out of a commission: the node fetches it, or people carry it. */
export const MOST_CRL_BYTES = 256 * 1024;

/** The CAs whose lists a factory node goes by, as their files are named. */
export const HEADQUARTERS_LISTS = ['root', 'manufacturing', 'server', 'operator'] as const;

/** Where a node says that its keys are, as the inventory names it. */
const PLACES = { sealed: 'sealed-file', pkcs11: 'pkcs11', tpm2: 'tpm2' } as const;

const PROFILES: Readonly<Record<FactorySlot, string>> = {
  manufacturing: 'factory-manufacturing-ca',
  server: 'factory-server-ca',
  evidence: 'evidence-signer',
};

/**
 * The factory nodes as the front end goes by them. keyd decides and remembers; here each order that it carried out comes
 * into the log, with the certificates that came of it in the records, in one transaction, and what keyd did while the
 * front end was away is made up for at the next start. REQ-KEY-PROV-01, REQ-KEY-AUD-01
 */
export class FactoryRecords {
  readonly #deps: FactoryDeps;
  #known: readonly Known[] = [];
  #authority: Authority | undefined;

  constructor(deps: FactoryDeps) {
    this.#deps = deps;
  }

  /** Their CRLs are in a commission. */
  set authority(authority: Authority) {
    this.#authority = authority;
  }

  /** The sub-CAs whose IDevIDs may come, closed factories among them. */
  get cas(): readonly FactoryCa[] {
    return this.#known.map(({ name, acts, closed }) => ({
      id: factoryIssuerId(name),
      certificate: inForce(acts).certified.manufacturing.certificate,
      believed: closed?.revoked !== true,
    }));
  }

  get all(): readonly Known[] {
    return this.#known;
  }

  /** As keyd knows them now: how many units were taken from each changes all the time. */
  async ask(): Promise<readonly Known[]> {
    return (await this.#deps.keyd.factories()).factories;
  }

  /** @throws KeysteadError `factory.unknown`. */
  one(name: string, known = this.#known): Known {
    const found = known.find((factory) => factory.name === name);
    if (found === undefined) throw new KeysteadError('factory.unknown', { field: 'factory', seen: name.slice(0, 64) });
    return found;
  }

  /** Records what keyd carried out and a crash kept out of the records. Before keyd's journal is reconciled. */
  start(): Promise<void> {
    return this.#sync(SYSTEM);
  }

  /**
   * Has keyd carry out an order of the quorum.
   * @throws KeysteadError what keyd refuses, audited; `store.*`: then it is carried out, and recorded at the next start or
   *   when it is asked for again.
   */
  async carryOut({ request, statements, actor, requestId }: FactoryOrder): Promise<Result<'commissionFactory'>> {
    // Reconciliation leaves the certificates alone that stand in keyd's journal and not in the records yet.
    return this.#deps.claims.during(requestId, async () => {
      const done = await this.#asked({ request, statements, actor, requestId });
      await this.#sync(actor);
      if (done.act === 'commission') await this.#authority?.publishCrl(factoryIssuerId(done.factory));
      return done;
    });
  }

  /** The file of a commission; the last one unless another is named. @throws KeysteadError `factory.unknown`. */
  async commission(name: string, number?: number): Promise<string> {
    const last = this.one(name).acts.at(-1)?.number ?? 1;
    return (await this.#deps.keyd.factoryCommission({ factory: name, number: number ?? last })).commission;
  }

  async #asked({ request, statements, actor, requestId }: FactoryOrder): Promise<Result<'commissionFactory'>> {
    try {
      return await this.#deps.keyd.commissionFactory({
        request,
        statements: [...statements],
        crls: this.#crls(),
        requestId,
      });
    } catch (error) {
      if (error instanceof KeysteadError) {
        await this.#deps.refusals.refused({ what: 'order about a factory', error, actor, requestId });
      }
      throw error;
    }
  }

  /** Those that are published and in force. A node does without one that is not there. */
  #crls(): DerCrl[] {
    const now = this.#deps.clock.now();
    return [...OFFLINE_CAS, 'manufacturing', 'operational', 'server', 'operator'].flatMap((name): DerCrl[] => {
      const path = join(this.#deps.layout.crl, `${name}.crl`);
      if (!existsSync(path)) return [];
      const der = new Uint8Array(readFileSync(path)) as DerCrl;
      return der.length <= MOST_CRL_BYTES && readCrl(der).nextUpdate > now ? [der] : [];
    });
  }

  async #sync(actor: AuditEvent['actor']): Promise<void> {
    const { factories } = await this.#deps.keyd.factories();
    await this.#deps.store.commit((tx) => {
      for (const { name, acts, closed } of factories) {
        keepFactoryKeys(tx, name, { custody: PLACES[inForce(acts).custody], closedAt: closed?.at.getTime() ?? null });
        const from = Number(tx.meta(recordedKey(name)) ?? 0);
        for (const act of acts.slice(from)) this.#record(tx, act, actor);
        if (acts.length > from) tx.setMeta(recordedKey(name), String(acts.length));
      }
    });
    this.#known = factories;
  }

  #record(tx: Tx, act: Act, actor: AuditEvent['actor']): void {
    const { audit, clock } = this.#deps;
    if (act.act !== 'close') for (const slot of FACTORY_SLOTS) recordCertificate(tx, act, slot);
    audit(tx, {
      type:
        act.act === 'commission' ? 'factory.commissioned' : act.act === 'renew' ? 'factory.renewed' : 'factory.closed',
      actor,
      requestId: act.requestId,
      outcome: 'done',
      subject: { factory: act.factory, number: act.number },
      detail: {
        order: act.order,
        orderSha256: act.orderSha256,
        requestSha256: act.requestSha256,
        proposer: act.by,
        approvers: act.approvers.join(', '),
        deviceIdPrefixes: act.deviceIdPrefixes.join(', '),
        custody: act.custody,
        counter: act.counter,
        manufacturingSha256: certSha256(act.certified.manufacturing.certificate),
        serverSha256: certSha256(act.certified.server.certificate),
        evidenceSha256: certSha256(act.certified.evidence.certificate),
        commissionSha256: act.commissionSha256,
        carriedOutAt: act.at.toISOString(),
        recordedAt: clock.now().toISOString(),
      },
    });
  }
}

/** The act by which a factory works: the last that is no close. */
export function inForce(acts: readonly Act[]): Act {
  const found = acts.findLast(({ act }) => act !== 'close');
  if (found === undefined) throw new RangeError('a factory without a commission');
  return found;
}

function recordCertificate(tx: Tx, { certified, factory, at, requestId, requestSha256 }: Act, slot: FactorySlot): void {
  const { issuer, certificate } = certified[slot];
  const info = readCertificate(certificate);
  if (tx.certificate(issuer, info.serial) !== undefined) return;
  const key = { spkiSha256: info.spkiSha256, issuer, serial: info.serial };
  if (tx.keyUse(info.spkiSha256) === undefined) {
    tx.insertKeyUse({ ...key, owner: `factory:${factory}`, firstSeen: at.getTime() });
  } else {
    tx.certifyKey(key.spkiSha256, issuer, info.serial);
  }
  tx.insertCertificate({
    ...key,
    profile: PROFILES[slot],
    subject: formatName(info.subject),
    deviceId: null,
    operator: null,
    notBefore: info.notBefore.getTime(),
    notAfter: info.notAfter.getTime(),
    der: certificate,
    certSha256: certSha256(certificate),
    status: 'good',
    revokedAt: null,
    reason: null,
    requestId,
    csrSha256: requestSha256,
    issuedAt: at.getTime(),
  });
}
