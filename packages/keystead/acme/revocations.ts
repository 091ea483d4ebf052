import type { DerCertificate, DerSpki } from '@keystead/core/bytes';
import { certSha256, spkiSha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { type IssuerId, profileOf } from '@keystead/core/lifecycle';
import { deviceIdOf, readCertificate } from '@keystead/core/x509';
import type { AuditEvent } from '../audit/index.ts';
import type { FinalReason } from '../authority/index.ts';
import type { Certificate, Reader } from '../store/index.ts';
import { type Account, type AcmeDeps, actorOfAccount } from './deps.ts';

/** CRLReason numbers (RFC 5280 section 5.3.1) that a holder may give. A CA's compromise and a hold are not theirs. */
const REASONS: Readonly<Record<number, FinalReason>> = {
  0: 'unspecified',
  1: 'keyCompromise',
  3: 'affiliationChanged',
  4: 'superseded',
  5: 'cessationOfOperation',
};

/** Who asks: an account, or whoever holds the certificate's own key. */
export type Revoker = { readonly account: Account } | { readonly spki: DerSpki };

/** Revocation by those who hold a certificate (RFC 8555 section 7.6). */
export class Revocations {
  readonly #deps: AcmeDeps;

  constructor(deps: AcmeDeps) {
    this.#deps = deps;
  }

  /**
   * @param der the certificate. @param reason a CRLReason number.
   * @throws KeysteadError `acme.bad-revocation-reason`, `acme.unknown`, `acme.revocation-forbidden` (audited),
   *   `acme.already-revoked`; `store.*`.
   */
  async revoke(v: { der: Uint8Array; reason: number; by: Revoker; requestId: string }): Promise<void> {
    const { by, requestId } = v;
    const reason = REASONS[v.reason];
    if (reason === undefined) {
      throw new KeysteadError('acme.bad-revocation-reason', { field: 'reason', seen: String(v.reason) });
    }
    const { store, authority, refusals } = this.#deps;
    const found = store.read((records) => this.#find(records, v.der));
    const { record, issuer } = found;
    const actor: AuditEvent['actor'] =
      'account' in by ? actorOfAccount(by.account) : { kind: 'anonymous', id: `key of ${record.serial}` };
    if (!store.read((records) => this.#mayRevoke(records, record, by))) {
      const error = new KeysteadError('acme.revocation-forbidden', { field: 'certificate', seen: record.serial });
      const anybody: AuditEvent['actor'] = 'account' in by ? actor : { kind: 'anonymous', id: 'unknown' };
      await refusals.refused({ what: 'revoke by acme', error, actor: anybody, requestId });
      throw error;
    }
    if (record.status === 'revoked') {
      throw new KeysteadError('acme.already-revoked', { field: 'certificate', seen: record.serial });
    }
    await authority.revoke({ selector: { serial: record.serial, issuer }, reason, actor, requestId });
  }

  /** Only what can be had through an authorisation: an IDevID or an operator's certificate is not for this door. */
  #find(records: Reader, der: Uint8Array): { record: Certificate; issuer: IssuerId } {
    const shown = readCertificate(der as DerCertificate);
    const sha256 = certSha256(der);
    for (const record of records.certificatesBySerial(shown.serial)) {
      const issuer = this.#deps.hierarchy.issuers.find(({ id }) => id === record.issuer)?.id;
      if (issuer === undefined || record.certSha256 !== sha256) continue;
      if (profileOf(this.#deps.policy, record.profile).requesters.includes('authorised')) return { record, issuer };
    }
    throw new KeysteadError('acme.unknown', { field: 'certificate', seen: shown.serial });
  }

  #mayRevoke(records: Reader, record: Certificate, by: Revoker): boolean {
    if ('spki' in by) return spkiSha256(by.spki) === record.spkiSha256;
    const { account } = by;
    if (records.acme.orderOfCertificate(record.issuer, record.serial)?.accountId === account.id) return true;
    const now = this.#deps.clock.now().getTime();
    const { san } = readCertificate(record.der as DerCertificate);
    const device = deviceIdOf(san);
    if (device !== undefined) {
      return records.acme.controls(account.id, { type: 'permanent-identifier', value: device, wildcard: false }, now);
    }
    return (
      san.length > 0 &&
      san.every((name) => {
        const value = name.slice(name.indexOf(':') + 1);
        const wildcard = value.startsWith('*.');
        const type = name.startsWith('IP:') ? 'ip' : 'dns';
        return records.acme.controls(account.id, { type, value: wildcard ? value.slice(2) : value, wildcard }, now);
      })
    );
  }
}
