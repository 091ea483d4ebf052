import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type DerCertificate, fromPem, sameBytes, toPem } from '@keystead/core/bytes';
import { spkiSha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { type IssuerId, type OnlineCa, type Policy, profileOf, TSA_KEY, TSA_PROFILE } from '@keystead/core/lifecycle';
import { type CertificateInfo, readCertificate } from '@keystead/core/x509';
import { durableWrite } from '../files/durable.ts';
import type { CertificateAuthority, SignerOf } from './certificate-authority.ts';
import type { Hierarchy } from './hierarchy.ts';
import type { Journal } from './journal.ts';
import type { KeydState } from './state.ts';
import { TsaFloor } from './tsa-floor.ts';

/** A certificate is replaced when this part of its life is over: each token can be verified for the rest of it. */
const RENEW_AT = 0.1;
/** How often the journal tells that time stamps were signed: what strangers ask for must not fill it. */
const MARK_EVERY_MS = 3_600_000;

/** What it works with: all of it is keyd's context, as of the moment. */
export interface TsaWork {
  readonly hierarchy: Hierarchy;
  readonly policy: Policy;
  readonly state: KeydState;
  readonly journal: Pick<Journal, 'append'>;
  readonly signerOf: SignerOf;
  issuing(ca: OnlineCa): CertificateAuthority;
}

export interface TsaCertificate {
  readonly issuer: IssuerId;
  readonly certificate: CertificateInfo;
}

/**
 * The certificate of the key that signs time stamps. The key is of the founding; keyd certifies it by the server CA when
 * it is first asked for a time stamp, and again each year, and keeps the certificate in its directory. Where
 * operators revoked one of them none is made: they meant the key.
 */
export class TsaSigner {
  readonly #path: string;
  #held: TsaCertificate | undefined;
  #making: Promise<TsaCertificate> | undefined;
  #markedAt: number;
  #marking: Promise<void> | undefined;
  #tokens = 0;

  /** The time that it does not go back before. */
  readonly floor: TsaFloor;

  /**
   * @param dir keyd's own directory.
   * @param markedAt when the journal told last that time stamps are signed, milliseconds since 1970.
   */
  constructor(dir: string, markedAt = Number.NEGATIVE_INFINITY) {
    this.#path = join(dir, 'tsa-signer.pem');
    this.floor = new TsaFloor(dir);
    this.#markedAt = markedAt;
  }

  /**
   * The certificate to sign by at `now`.
   * @throws KeysteadError `tsp.off` when one of the key was revoked, and as `CertificateAuthority.issue` does.
   */
  async at(keyd: TsaWork, now: Date): Promise<TsaCertificate> {
    // Before anything else: who waits a year must not get the revoked key certified again, nor who loses the file.
    const had = keyd.state.tsaCertificates.of(spkiSha256(keyd.signerOf(TSA_KEY).spki));
    const listed = had.find(({ issuer, serial }) => keyd.state.isListed(issuer, serial));
    if (listed !== undefined)
      throw new KeysteadError('tsp.off', {
        field: TSA_KEY,
        seen: `its certificate ${listed.serial} is revoked or on hold`,
        remedy: 'release the hold; a key that was revoked signs no further time stamp',
      });
    this.#held ??= this.#read(keyd);
    const held = this.#held;
    return held !== undefined && isFresh(held, keyd, now) ? held : this.#make(keyd, now);
  }

  /**
   * Writes down, once an hour, that time stamps are signed; not sooner after a start. Who comes while that is being
   * written waits for it too.
   * @throws KeysteadError `keyd.journal-failed`.
   */
  async mark(keyd: Pick<TsaWork, 'journal'>, now: Date): Promise<void> {
    this.#tokens += 1;
    try {
      while (now.getTime() - this.#markedAt >= MARK_EVERY_MS) {
        this.#marking ??= this.#writeMark(keyd, now).finally(() => {
          this.#marking = undefined;
        });
        await this.#marking;
      }
    } catch (error) {
      this.#tokens -= 1;
      throw error;
    }
  }

  async #writeMark({ journal }: Pick<TsaWork, 'journal'>, now: Date): Promise<void> {
    const tokens = this.#tokens;
    await journal.append({ time: now.toISOString(), kind: 'timestamps', tokens });
    this.#tokens -= tokens;
    this.#markedAt = now.getTime();
  }

  /** What an earlier keyd has left; undefined for none, or one that is for another key. */
  #read(keyd: TsaWork): TsaCertificate | undefined {
    let text: string;
    try {
      text = readFileSync(this.#path, 'latin1');
    } catch (cause) {
      if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return undefined;
      throw new KeysteadError('keyd.not-ready', { field: this.#path, cause });
    }
    const [der] = fromPem('CERTIFICATE', text);
    if (der === undefined) throw new KeysteadError('keyd.not-ready', { field: this.#path, seen: 'no certificate' });
    const certificate = readCertificate(der as DerCertificate);
    if (!sameBytes(certificate.spki, keyd.signerOf(TSA_KEY).spki)) return undefined;
    const issuer = keyd.hierarchy.issuers.find(
      ({ id, ca }) => ca === 'server' && keyd.state.isIssued(id, certificate.serial),
    );
    return issuer === undefined ? undefined : { issuer: issuer.id, certificate };
  }

  #make(keyd: TsaWork, now: Date): Promise<TsaCertificate> {
    this.#making ??= this.#certify(keyd, now).finally(() => {
      this.#making = undefined;
    });
    return this.#making;
  }

  async #certify(keyd: TsaWork, now: Date): Promise<TsaCertificate> {
    const authority = keyd.issuing('server');
    const { certificate } = await authority.issue({
      profile: profileOf(keyd.policy, TSA_PROFILE),
      named: {},
      spki: keyd.signerOf(TSA_KEY).spki,
      now,
      subject: 'tsa',
      requestId: 'keyd',
    });
    const held = { issuer: authority.id, certificate: readCertificate(certificate) };
    // Kept first: where the file cannot be written, strangers must not have one certificate made for each request.
    this.#held = held;
    durableWrite(this.#path, toPem('CERTIFICATE', certificate), 0o600);
    return held;
  }
}

/** Whether a token by it can be verified for long: its CA is not revoked, and most of its life is left. */
function isFresh({ issuer, certificate }: TsaCertificate, { hierarchy }: TsaWork, now: Date): boolean {
  if (hierarchy.pins.revoked.includes(issuer)) return false;
  const begin = certificate.notBefore.getTime();
  return now.getTime() < begin + (certificate.notAfter.getTime() - begin) * RENEW_AT;
}
