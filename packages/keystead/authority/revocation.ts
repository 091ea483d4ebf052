import type { Serial } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import {
  type ListedIssuer,
  type RevocationSelector,
  requireInvalidityDate,
  requireRevocationKind,
  revocationQuorum,
} from '@keystead/core/lifecycle';
import type { AuditEvent } from '../audit/index.ts';
import type { Certificate, Tx } from '../store/index.ts';
import {
  blockDevice,
  blockKey,
  type Change,
  changeAll,
  type FinalReason,
  type Standing,
  standingsOf,
} from './certificate-changes.ts';
import type { CrlPublisher } from './crl.ts';
import type { AuthorityDeps } from './deps.ts';
import { caIdentities, type Resolved, resolve, type Scope, type Selector, scopeOf } from './selection.ts';
import type { StatusListener } from './status.ts';
import { requireClock } from './time.ts';
import { withheldOf } from './withheld.ts';

/** What one call revokes or puts on hold. A batch and a CA are acts of their own: {@link RevocationActs}. */
export interface RevocationOrder {
  readonly selector: Exclude<Selector, { readonly ticketId: string } | { readonly ca: string }>;
  /** `revoke` unless told. */
  readonly act?: 'revoke' | 'hold';
  /** Of a revocation. */
  readonly reason?: FinalReason;
  /** Since when it is known or suspected to be invalid (RFC 5280 section 5.3.2). */
  readonly invalidityDate?: Date;
  /**
   * Who asks. A `device` may revoke its own certificates and gives its id. Any other than an operator or the system
   * itself is the holder of what is named: whoever calls has verified that.
   */
  readonly actor: AuditEvent['actor'];
  readonly requestId: string;
}

export interface Revoked {
  /** Every certificate that is now revoked or on hold, also those that were before. */
  readonly certificates: readonly Standing[];
  /** Whether a CRL with all of them is published; when not, it is tried again until it is. */
  readonly onCrl: boolean;
  /** How many revocations keyd leaves out of the CRLs of their issuers, these or others: {@link withheldOf}. */
  readonly withheld: number;
}

/** Takes certificates out of service. OCSP says so from the COMMIT on, the CRL is made at once. REQ-KEY-REV-01 */
export class Revocation {
  readonly #deps: AuthorityDeps;
  readonly #crls: Pick<CrlPublisher, 'publish'>;
  readonly #changed: StatusListener;

  /** @param changed called after the COMMIT of every change of status, before the answer. */
  constructor(deps: AuthorityDeps, crls: Pick<CrlPublisher, 'publish'>, changed: StatusListener) {
    this.#deps = deps;
    this.#crls = crls;
    this.#changed = changed;
  }

  /**
   * Revokes what `selector` names, or puts it on hold. For a device that is all it has, and it counts as stolen from
   * then on: it gets no certificate any more. A compromised key takes every certificate on it and is blocked for ever.
   * To do again what is done changes nothing.
   * @throws KeysteadError `certificate.unknown`, `device.unknown`, `revocation.*` (audited); `store.*`,
   *   `clock.went-back`. Where keyd is away the revocation stands, and `onCrl` is false.
   */
  revoke(order: RevocationOrder): Promise<Revoked> {
    const { actor, requestId, selector } = order;
    const what = order.act === 'hold' ? 'hold' : 'revoke';
    return audited(this.#deps, { what, actor, requestId, subject: subjectOf(selector) }, async () => {
      requireClock(this.#deps);
      requireInvalidityDate(order.invalidityDate, this.#deps.clock.now());
      const cas = caIdentities(this.#deps);
      const done = await this.#deps.store.commit((tx) => {
        const resolved = resolve(tx, selector, order.reason, cas);
        this.#requireAllowed(resolved, order);
        return this.#inTransaction(tx, order, resolved);
      });
      return { certificates: done.standing, ...(await this.#announce(done.changed)) };
    });
  }

  /** Makes a change known. */
  changed(issuer: ListedIssuer, serial: Serial): void {
    this.#changed(issuer, serial);
  }

  /** Makes changes known and publishes the CRLs of their issuers. @returns whether all of those are out. */
  async announce(changed: readonly { readonly issuer: ListedIssuer; readonly serial: Serial }[]): Promise<boolean> {
    return (await this.#announce(changed)).onCrl;
  }

  /** Publishes the CRLs of these issuers. @returns whether all of them are out. */
  async publish(issuers: readonly ListedIssuer[]): Promise<boolean> {
    return (await this.#publish(issuers)).onCrl;
  }

  #announce(changed: readonly { readonly issuer: ListedIssuer; readonly serial: Serial }[]) {
    for (const { issuer, serial } of changed) this.#changed(issuer, serial);
    return this.#publish(changed.map(({ issuer }) => issuer));
  }

  async #publish(issuers: readonly ListedIssuer[]): Promise<Pick<Revoked, 'onCrl' | 'withheld'>> {
    const here = [...new Set(issuers)].filter(
      (issuer) => (this.#deps.elsewhere as ReadonlySet<string> | undefined)?.has(issuer) !== true,
    );
    const made = await Promise.allSettled(here.map((issuer) => this.#crls.publish(issuer)));
    if (!made.every(({ status }) => status === 'fulfilled')) return { onCrl: false, withheld: 0 };
    const left = this.#deps.store.read(withheldOf);
    const withheld = here.reduce((sum, issuer) => sum + (left.get(issuer) ?? 0), 0);
    return { onCrl: withheld === 0, withheld };
  }

  #requireAllowed({ selector, reason }: Resolved, { act = 'revoke', actor }: RevocationOrder): void {
    const kind = { selector: selector.kind, act, reason };
    const party = actor.kind === 'operator' || actor.kind === 'system' ? 'operator' : 'holder';
    requireRevocationKind(kind, party);
    const { approvals, roles } = revocationQuorum(this.#deps.policy, kind);
    if (actor.kind !== 'operator' || approvals === 0) return;
    throw new KeysteadError('revocation.quorum-needed', {
      field: selector.kind,
      seen: `${approvals} of ${roles.join(', ')}, besides the one who asks`,
    });
  }

  #inTransaction(
    tx: Tx,
    order: RevocationOrder,
    { selector, reason }: Resolved,
  ): { standing: readonly Standing[]; changed: readonly Standing[] } {
    const { act = 'revoke', actor, requestId, invalidityDate } = order;
    if (selector.kind === 'batch' || selector.kind === 'ca')
      throw new RangeError(`${selector.kind} is an act of its own`);
    const now = this.#deps.clock.now();
    const scope = scopeOf(tx, { selector, act, reason, now });
    if (actor.kind === 'device') requireOwn(scope, actor.id);
    const change = { act, reason, invalidityDate, actor, requestId, now };
    const { certificates, devices, keys } = carryOut(tx, this.#deps, scope, change);
    if (certificates.length + devices + keys > 0) {
      this.#deps.audit(tx, doneEvent(selector, change, { certificates: certificates.length, devices }));
    }
    return { standing: standingsOf(tx, scope.certificates), changed: standingsOf(tx, scope.certificates) };
  }
}

/** Changes all that a scope holds, in the caller's transaction. @returns what changed. */
export function carryOut(
  tx: Tx,
  { audit }: Pick<AuthorityDeps, 'audit'>,
  { certificates, devices, keys }: Scope,
  change: Omit<Change, 'certificates'>,
): { readonly certificates: readonly Certificate[]; readonly devices: number; readonly keys: number } {
  const blocked = devices.filter((deviceId) => blockDevice(tx, audit, { ...change, deviceId }));
  const blockedKeys = keys.filter((spkiSha256) => blockKey(tx, audit, { ...change, spkiSha256 }));
  const changed = changeAll(tx, audit, { ...change, certificates });
  return { certificates: changed, devices: blocked.length, keys: blockedKeys.length };
}

/** The one entry that tells of an act as a whole. */
export function doneEvent(
  selector: RevocationSelector,
  { act, reason, invalidityDate, actor, requestId }: Omit<Change, 'certificates'>,
  done: { readonly certificates: number; readonly devices: number } & Readonly<Record<string, string | number>>,
): AuditEvent {
  const { kind, ...named } = selector;
  return {
    type: 'revocation.done',
    actor,
    requestId,
    outcome: 'done',
    subject: { selector: kind, ...named },
    detail: {
      act,
      reason: act === 'revoke' ? (reason ?? 'unspecified') : 'certificateHold',
      ...(invalidityDate === undefined ? {} : { invalidityDate: invalidityDate.toISOString() }),
      ...done,
    },
  };
}

/** @throws KeysteadError `revocation.not-own`. */
function requireOwn({ certificates }: Scope, deviceId: string): void {
  const foreign = certificates.find((one) => one.deviceId !== deviceId);
  if (foreign === undefined && certificates.length > 0) return;
  throw new KeysteadError('revocation.not-own', {
    field: 'serial',
    seen: `${foreign?.serial ?? 'none'}, by ${deviceId}`,
  });
}

/** Runs an act; what it refuses is audited before it is thrown. */
export async function audited<T>(
  { refusals }: Pick<AuthorityDeps, 'refusals'>,
  asked: { what: string; actor: AuditEvent['actor']; requestId: string; subject?: AuditEvent['subject'] },
  act: () => Promise<T>,
): Promise<T> {
  try {
    return await act();
  } catch (error) {
    if (error instanceof KeysteadError && error.kind !== 'unavailable') await refusals.refused({ ...asked, error });
    throw error;
  }
}

/** What was named, as far as an entry of the log can carry it. */
export const subjectOf = (selector: Selector): Record<string, string> =>
  Object.fromEntries(
    Object.entries(selector).flatMap(([name, value]) =>
      typeof value === 'string' ? [[name, value.slice(0, 128).toWellFormed()]] : [],
    ),
  );
