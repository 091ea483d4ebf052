import {
  type ApprovalQuorum,
  type ListedCertificate,
  type ListedIssuer,
  type RevocationSelector,
  requireInvalidityDate,
  requireRevocationKind,
  revocationQuorum,
} from '@keystead/core/lifecycle';
import type { Reader } from '../store/index.ts';
import { type FinalReason, inForce } from './certificate-changes.ts';
import type { AuthorityDeps } from './deps.ts';
import { audited, subjectOf } from './revocation.ts';
import type { ActOrder } from './revocation-acts.ts';
import { boundList, boundTo, caIdentities, resolve, scopeOf } from './selection.ts';

/** What an act would do, before anybody does it. */
export interface Census {
  readonly selector: RevocationSelector;
  readonly act: ActOrder['act'];
  readonly reason: FinalReason | null;
  /** How many certificates would change. */
  readonly certificates: number;
  /** How many devices would lose one. */
  readonly devices: number;
  /** How many of these would have none left that is good. */
  readonly cutOff: number;
  /** Keys that would never be certified again. */
  readonly keys: number;
  /** What statements about it bind. */
  readonly count: number;
  readonly listSha256: string;
  /** Those that would change, as many as one answer has room for; of a batch and a CA none. */
  readonly listed: readonly (ListedCertificate & { readonly subject: string })[];
  readonly quorum: ApprovalQuorum;
}

const UNITS_AT_ONCE = 500;
const CERTIFICATES_AT_ONCE = 2000;
/** A device has few certificates in force, and a person's key few as well. */
const MOST_LISTED = 1000;

interface Count {
  certificates: number;
  devices: number;
  cutOff: number;
}

/** Counts what a revocation would take, in pieces, so that nobody waits for it. It changes nothing. */
export class RevocationCensus {
  readonly #deps: AuthorityDeps;

  constructor(deps: AuthorityDeps) {
    this.#deps = deps;
  }

  /** @throws KeysteadError as the act itself would, audited; but for a quorum that it would need. */
  take(order: ActOrder): Promise<Census> {
    const { actor, requestId } = order;
    return audited(this.#deps, { what: 'revoke, dry run', actor, requestId, subject: subjectOf(order.selector) }, () =>
      this.#take(order),
    );
  }

  async #take({ selector: named, act, reason: given, invalidityDate }: ActOrder): Promise<Census> {
    const { store, clock, policy } = this.#deps;
    const now = clock.now();
    requireInvalidityDate(invalidityDate, now);
    const cas = caIdentities(this.#deps);
    const { selector, reason } = store.read((records) => resolve(records, named, given, cas));
    const kind = { selector: selector.kind, act, reason };
    requireRevocationKind(kind, 'operator');
    const bound = store.read((records) => boundTo(boundList(records, { selector, act, reason, now }, cas)));
    const common = { selector, act, reason: reason ?? null, ...bound, quorum: revocationQuorum(policy, kind) };
    if (selector.kind === 'batch') {
      return { ...common, ...(await this.#ofBatch(selector.ticketId, now)), keys: 0, listed: [] };
    }
    if (selector.kind === 'ca') return { ...common, ...(await this.#ofCa(selector.ca, now)), keys: 0, listed: [] };
    return store.read((records) => {
      const { certificates, keys } = scopeOf(records, { selector, act, reason, now });
      const changing = certificates.filter(
        ({ status }) => status !== 'revoked' && !(act === 'hold' && status === 'hold'),
      );
      const devices = new Set(changing.flatMap(({ deviceId }) => deviceId ?? []));
      const lost = new Set(changing.map(({ issuer, serial }) => `${issuer} ${serial}`));
      const cutOff = [...devices].filter((id) => act !== 'release' && !hasOther(records, id, now, lost)).length;
      const listed = changing.slice(0, MOST_LISTED).map(({ issuer, serial, subject }) => ({ issuer, serial, subject }));
      return { ...common, certificates: changing.length, devices: devices.size, cutOff, keys: keys.length, listed };
    });
  }

  async #ofBatch(ticketId: string, now: Date): Promise<Count> {
    const count = { certificates: 0, devices: 0, cutOff: 0 };
    for (let after: string | undefined = ''; after !== undefined; ) {
      after = this.#deps.store.read((records) => {
        const units = records.unitsOfBatch(ticketId, after ?? '', UNITS_AT_ONCE);
        for (const { deviceId } of units) {
          const losing = inForce(records, deviceId, now).filter(({ status }) => status !== 'revoked').length;
          count.certificates += losing;
          count.devices += losing > 0 ? 1 : 0;
          count.cutOff += losing > 0 ? 1 : 0;
        }
        return units.length < UNITS_AT_ONCE ? undefined : units.at(-1)?.deviceId;
      });
      await others();
    }
    return count;
  }

  async #ofCa(ca: ListedIssuer, now: Date): Promise<Count> {
    const devices = new Set<string>();
    let certificates = 0;
    for (let after: string | undefined = ''; after !== undefined; ) {
      after = this.#deps.store.read((records) => {
        const page = records.revocableOf(ca, after ?? '', now.getTime(), CERTIFICATES_AT_ONCE);
        certificates += page.length;
        for (const { deviceId } of page) if (deviceId !== null) devices.add(deviceId);
        return page.length < CERTIFICATES_AT_ONCE ? undefined : page.at(-1)?.serial;
      });
      await others();
    }
    let cutOff = 0;
    for (const [index, id] of [...devices].entries()) {
      if (!this.#deps.store.read((records) => hasOtherCa(records, id, now, ca))) cutOff += 1;
      if (index % UNITS_AT_ONCE === 0) await others();
    }
    return { certificates, devices: devices.size, cutOff };
  }
}

/** Others have their turn. */
const others = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

const good = (records: Reader, deviceId: string, now: Date) =>
  inForce(records, deviceId, now).filter(({ status }) => status === 'good');

const hasOther = (records: Reader, deviceId: string, now: Date, lost: ReadonlySet<string>): boolean =>
  good(records, deviceId, now).some(({ issuer, serial }) => !lost.has(`${issuer} ${serial}`));

const hasOtherCa = (records: Reader, deviceId: string, now: Date, ca: ListedIssuer): boolean =>
  good(records, deviceId, now).some(({ issuer }) => issuer !== ca);
