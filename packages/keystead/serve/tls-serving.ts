import { type DerCertificate, fromPem, type SpkiSha256 } from '@keystead/core/bytes';
import { softwareSigner } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { cryptoperiodOf, custodyOf, type Policy, usagePeriods } from '@keystead/core/lifecycle';
import type { BundleContent } from '@keystead/core/trust';
import { readCertificate } from '@keystead/core/x509';
import type { Logger } from 'pino';
import type { AskedBy } from '../authority/index.ts';
import type { Told } from '../inventory/index.ts';
import type { TlsIdentity } from '../protocols/http/server.ts';
import type { TlsKeyView } from '../protocols/rest/tls-key.ts';
import type { Reader } from '../store/index.ts';
import { type KeptTlsKey, type KeptTlsKeys, type PreparedUse, preparedIn } from './kept-tls-keys.ts';
import { requireAnnounced } from './tls-announced.ts';
import { type CertifyingRooms, certifiedFor, isFresh, keyStanding } from './tls-certificate.ts';
import { hostsOf, makeTlsIdentity, tlsIdentity } from './tls-identity.ts';

export interface TlsServingDeps extends CertifyingRooms {
  readonly kept: KeptTlsKeys;
  /** Of the newest trust bundle what is pinned, if there is one. */
  readonly bundles: { latest(): { readonly content: Pick<BundleContent, 'pins'> } | undefined };
  readonly log: Logger;
  readonly policy: Policy;
}

/** What is shown to those who connect. */
interface Shown {
  readonly identity: TlsIdentity;
  readonly spkiSha256: SpkiSha256;
  readonly serial: string;
  readonly notBefore: number;
  readonly notAfter: number;
  /** Why it is not the key that is kept, or why none is. */
  readonly problem: KeysteadError | undefined;
}

/** No key can be kept here, and none was: that is how this house is set up. */
const NOT_KEPT: ReadonlySet<string> = new Set([
  'tls-key.custody-forbidden',
  'tls-key.keystore-unfit',
  'diversify.unsupported',
]);
/** The key that is kept cannot be shown, and waiting does not help. */
const isProblem = ({ code }: KeysteadError): boolean => NOT_KEPT.has(code) || code.startsWith('tls-key.');

/** Of the problems those of which the records and the policy tell whether they are over; of others an attempt does. */
const SEEN_TO_END: ReadonlySet<string> = new Set([
  'tls-key.revoked',
  'tls-key.period-ended',
  'tls-key.custody-forbidden',
]);

/** A key that lives in memory only is replaced, with its certificate, when it is so old. */
const MEMORY_KEY_MS = 24 * 3600 * 1000;

/**
 * The TLS key and the certificate of serve. The key outlives serve: it is made once, kept sealed, and another one takes its
 * place only when people say so. Its certificate is renewed over the same key. A key that must not be shown is not: then
 * serve shows one of the moment, which no device pins, so that people can come in and put things right.
 * REQ-KEY-ROT-03, REQ-KEY-STO-02
 */
export class TlsServing {
  readonly #deps: TlsServingDeps;
  #host: string | undefined;
  #shown: Shown | undefined;
  #replaced: (identity: TlsIdentity) => void = () => {};
  #turn: Promise<unknown> = Promise.resolve();

  constructor(deps: TlsServingDeps) {
    this.#deps = deps;
  }

  /**
   * The first identity; at the first start of all the key is made.
   * @param host under which serve is reached.
   * @param replaced is given the identity of those who connect from then on.
   * @throws KeysteadError of keyd and of the store.
   */
  async start(host: string, replaced: (identity: TlsIdentity) => void): Promise<TlsIdentity> {
    this.#host = host;
    const shown = await this.#choose();
    this.#shown = shown;
    this.#replaced = replaced;
    this.#deps.authority.onStatusChanged((_issuer, serial) => {
      if (serial === this.#shown?.serial) this.look().catch((err: unknown) => this.#deps.log.error({ err }, LATE));
    });
    return shown.identity;
  }

  /** Why no kept key is shown; undefined where one is. */
  get problem(): KeysteadError | undefined {
    return this.#shown?.problem;
  }

  /** Renews the certificate when it is time, and shows a key no longer that must not be shown. Call it often. */
  look(): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#shown !== undefined && (await this.#stands(this.#shown))) return;
      this.#show(await this.#choose());
    });
  }

  /** @throws KeysteadError as {@link KeptTlsKeys.prepare}. */
  prepare(use: PreparedUse, replace: boolean, by: AskedBy): Promise<TlsKeyView> {
    return this.#inTurn(async () => {
      // Where none could be kept before, the first is made now.
      if (this.#current() === undefined) await this.#deps.kept.found(toldBy(by, 'the first TLS key that is kept'));
      else await this.#deps.kept.prepare(use, replace, toldBy(by, `to be the ${use} TLS key`));
      if (this.#shown?.problem !== undefined) this.#show(await this.#choose());
      return this.view();
    });
  }

  /**
   * Puts a prepared key in the place of the current one. It is opened and certified before anything changes.
   * @throws KeysteadError `tls-key.unknown`, `tls-key.not-announced`, `tls-key.unreadable`; of keyd and of the store.
   */
  use(spki: string, by: AskedBy): Promise<TlsKeyView> {
    return this.#inTurn(async () => {
      const { kept, log } = this.#deps;
      const next = preparedIn(kept.list(), spki);
      const old = this.#current();
      const stopped = old === undefined ? undefined : ((await this.#problemOf(old)) ?? (await this.#openProblem(old)));
      const allowed = (records: Reader): void => {
        // Who cannot go on with the old key has nothing to wait for.
        if (old === undefined || stopped !== undefined) return;
        requireAnnounced(records, this.#deps.bundles.latest()?.content, old.spkiSha256, next.spkiSha256, this.#now());
      };
      this.#deps.store.read(allowed);
      const shown = await this.#shownOf(next);
      await kept.promote(next.spkiSha256, toldBy(by, `in the place of ${old?.spkiSha256 ?? 'none'}`), allowed);
      this.#show(shown);
      log.info({ old: old?.spkiSha256, key: next.spkiSha256, use: next.use }, 'another TLS key is shown from now on');
      return this.view();
    });
  }

  view(): TlsKeyView {
    const { kept, policy } = this.#deps;
    const period = cryptoperiodOf(policy, 'tls-server');
    const shown = this.#shown;
    const problem = shown?.problem;
    return {
      shown:
        shown === undefined
          ? null
          : {
              spkiSha256: shown.spkiSha256,
              kept: problem === undefined,
              certificate: { serial: shown.serial, notBefore: iso(shown.notBefore), notAfter: iso(shown.notAfter) },
            },
      problem: problem === undefined ? null : { ...problem.toJSON() },
      keys: kept.list().map((one) => {
        const row = kept.row(one);
        const since = row?.activatedAt ?? null;
        const end = since === null ? null : usagePeriods(period, since).originatorEnd;
        return {
          ...{ use: one.use, spkiSha256: one.spkiSha256, state: row?.state ?? 'unknown' },
          ...{ madeAt: row === undefined ? null : iso(row.generatedAt), usedSince: since === null ? null : iso(since) },
          usedUntil: end === null ? null : iso(end),
        };
      }),
    };
  }

  #now = (): Date => this.#deps.clock.now();

  #current(): KeptTlsKey | undefined {
    return this.#deps.kept.list().find(({ use }) => use === 'current');
  }

  /** Whether what is shown may go on being shown as it is. */
  async #stands({ spkiSha256: key, problem, notBefore }: Shown): Promise<boolean> {
    const current = this.#current();
    if (problem !== undefined) {
      // Of the moment: until it is old, or what kept the other from being shown is seen to be over.
      const still = current === undefined ? this.#custodyProblem() : await this.#problemOf(current);
      const over = still === undefined && SEEN_TO_END.has(problem.code);
      return !over && this.#now().getTime() < notBefore + MEMORY_KEY_MS;
    }
    if (current?.spkiSha256 !== key || (await this.#problemOf(current)) !== undefined) return false;
    const { certificate } = keyStanding(this.#deps, key);
    return certificate !== undefined && isFresh(this.#deps, certificate, this.#hosts());
  }

  async #choose(): Promise<Shown> {
    const { kept, log } = this.#deps;
    try {
      if (this.#current() === undefined) await kept.found(FOUNDED);
      const current = this.#current();
      if (current === undefined) throw new KeysteadError('store.corrupt', { field: 'serve.tls-keys' });
      const problem = await this.#problemOf(current);
      if (problem !== undefined) throw problem;
      return await this.#shownOf(current);
    } catch (error) {
      if (!(error instanceof KeysteadError) || !isProblem(error)) throw error;
      if (NOT_KEPT.has(error.code) && this.#current() === undefined) {
        log.warn({ err: error }, "serve's TLS key is in memory only: nothing can pin it");
      } else {
        log.error({ err: error }, 'THE KEPT TLS KEY IS NOT SHOWN: devices that pin it refuse this server');
      }
      const identity = await makeTlsIdentity(this.#deps, this.#host ?? '');
      return { identity, ...told(identity), problem: error };
    }
  }

  /** Why a key must not be shown; undefined where it may. Writes down what is for good. */
  async #problemOf(one: KeptTlsKey): Promise<KeysteadError | undefined> {
    const { kept, policy } = this.#deps;
    const { stopped } = keyStanding(this.#deps, one.spkiSha256);
    if (stopped !== undefined) {
      const { seen, event } = stopped;
      if (event !== undefined) await kept.end(one, event, { ...FOUNDED, reason: seen });
      return new KeysteadError('tls-key.revoked', { field: one.spkiSha256, seen });
    }
    const misplaced = this.#custodyProblem();
    if (misplaced !== undefined) return misplaced;
    const row = kept.row(one);
    if (row?.state !== 'active')
      return new KeysteadError('tls-key.revoked', { field: one.spkiSha256, seen: row?.state ?? 'no record' });
    const { originatorEnd } = usagePeriods(cryptoperiodOf(policy, 'tls-server'), row.activatedAt ?? row.generatedAt);
    if (originatorEnd === null || this.#now().getTime() < originatorEnd) return undefined;
    return new KeysteadError('tls-key.period-ended', { field: one.spkiSha256, seen: `ended ${iso(originatorEnd)}` });
  }

  /** Why a key cannot be shown that may be; undefined where it can. @throws KeysteadError what waiting may help against. */
  async #openProblem(one: KeptTlsKey): Promise<KeysteadError | undefined> {
    try {
      (await this.#deps.kept.open(one)).wipe();
      return undefined;
    } catch (error) {
      if (error instanceof KeysteadError && isProblem(error)) return error;
      throw error;
    }
  }

  /** As keyd has it too, which gives no seal then. */
  #custodyProblem(): KeysteadError | undefined {
    const { allowed } = custodyOf(this.#deps.policy, 'tls-server');
    if (allowed.includes('sealed-file')) return undefined;
    return new KeysteadError('tls-key.custody-forbidden', { field: 'custody', seen: allowed.join(' ') });
  }

  /** Opens a key and has its certificate. @throws KeysteadError of {@link KeptTlsKeys.open} and of {@link certifiedFor}. */
  async #shownOf(one: KeptTlsKey): Promise<Shown> {
    const { kept, log } = this.#deps;
    using pkcs8 = await kept.open(one);
    const signer = softwareSigner('P-256', pkcs8);
    const found = await certifiedFor(this.#deps, signer, one.spkiSha256, { hosts: this.#hosts(), log });
    const identity = tlsIdentity(this.#deps.hierarchy, pkcs8, found.certificate);
    return { identity, ...told(identity), problem: undefined };
  }

  #hosts = (): string[] => hostsOf(this.#host ?? '', this.#deps.hierarchy.factory?.serverNames);

  #show(shown: Shown): void {
    this.#shown = shown;
    this.#replaced(shown.identity);
  }

  #inTurn<T>(act: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(act);
    this.#turn = done.catch(() => {});
    return done;
  }
}

const LATE = 'the TLS certificate could not be looked after; it is tried again';

const FOUNDED: Told = { actor: { kind: 'system', id: 'serve' }, reason: 'the TLS key of serve', requestId: 'tls-key' };

const toldBy = ({ actor, requestId }: AskedBy, reason: string): Told => ({ actor, requestId, reason });

/** Of the certificate that stands first. */
function told({ cert }: TlsIdentity): Pick<Shown, 'spkiSha256' | 'serial' | 'notBefore' | 'notAfter'> {
  const { spkiSha256, serial, notBefore, notAfter } = readCertificate(
    fromPem('CERTIFICATE', cert)[0] as DerCertificate,
  );
  return { spkiSha256, serial, notBefore: notBefore.getTime(), notAfter: notAfter.getTime() };
}

const iso = (ms: number): string => new Date(ms).toISOString();
