import type { Serial, SpkiSha256 } from '@keystead/core/bytes';
import type { IssuerName, KeyDates, KeyState } from '@keystead/core/lifecycle';
import type { Dialect } from './dialect.ts';
import * as keys from './key-rows.ts';
import { bytesOf, compileQuery } from './query.ts';
import { journalSelection, keyUseSelection } from './rows.ts';

/** The queries of the key inventory. REQ-KEY-POL-01 */
export function keyQueries(dialect: Dialect) {
  const query = <A extends object>() => compileQuery<A>(dialect.builder);
  const key = keys.keySelection(dialect);
  const certified = keys.certifiedKeySelection(dialect);
  const service = keys.serviceKeySelection(dialect);
  const keyUse = keyUseSelection(dialect);
  const journal = journalSelection(dialect);
  return {
    insertKey: query<keys.KeyRow>()((q, a) => q.insertInto('key').values(keys.keyColumns(a))),
    key: query<{ id: string }>()((q, a) => q.selectFrom('key').select(key).where('id', '=', a.id)),
    keyBySpki: query<{ spkiSha256: SpkiSha256 }>()((q, a) =>
      q.selectFrom('key').select(key).where('spki_sha256', '=', bytesOf(a.spkiSha256)),
    ),
    keys: query<{ after: string; count: number }>()((q, a) =>
      q.selectFrom('key').select(key).where('id', '>', a.after).orderBy('id').limit(a.count),
    ),
    setKeyStanding: query<KeyDates & { id: string; state: KeyState }>()((q, a) =>
      q.updateTable('key').set(keys.keyStandingColumns(a)).where('id', '=', a.id),
    ),
    setSuccessor: query<{ id: string; successor: string }>()((q, a) =>
      q.updateTable('key').set({ successor: a.successor }).where('id', '=', a.id),
    ),
    setKeyCertificate: query<{ id: string; certificateEnd: number; evidence: string }>()((q, a) =>
      q.updateTable('key').set({ certificate_end: a.certificateEnd, evidence: a.evidence }).where('id', '=', a.id),
    ),
    insertKeyEvent: query<keys.KeyEventRow>()((q, a) => q.insertInto('key_event').values(keys.keyEventColumns(a))),
    keyEvents: query<{ id: string }>()((q, a) =>
      q.selectFrom('key_event').select(keys.KEY_EVENT).where('key_id', '=', a.id).orderBy('n'),
    ),
    /** The keys that devices, people and servers had, whose hash lies between the two, both included. */
    keyUsesBetween: query<{ from: SpkiSha256; to: SpkiSha256; count: number }>()((q, a) =>
      q
        .selectFrom('spki_history')
        .select(keyUse)
        .where('spki_sha256', '>=', bytesOf(a.from))
        .where('spki_sha256', '<=', bytesOf(a.to))
        .orderBy('spki_sha256')
        .limit(a.count),
    ),
    keysOfDevice: query<{ deviceId: string }>()((q, a) =>
      q
        .selectFrom('certificate')
        .select(certified)
        .where('device_id', '=', a.deviceId)
        .orderBy('issued_at')
        .orderBy('serial'),
    ),
    /** Keys of people and servers after this one, each by its newest certificate. */
    serviceKeys: query<{ subject: string; issuedAt: number; serial: Serial; count: number }>()((q, a) =>
      q
        .selectFrom('certificate')
        .innerJoin('spki_history', (join) =>
          join
            .onRef('spki_history.spki_sha256', '=', 'certificate.spki_sha256')
            .onRef('spki_history.serial', '=', 'certificate.serial'),
        )
        .select(service)
        .where('device_id', 'is', null)
        .where((eb) =>
          eb(
            eb.refTuple('subject', 'issued_at', 'certificate.serial'),
            '>',
            eb.tuple(eb.val(a.subject), eb.val(a.issuedAt), eb.val(bytesOf(a.serial))),
          ),
        )
        .orderBy('subject')
        .orderBy('issued_at')
        .orderBy('certificate.serial')
        .limit(a.count),
    ),
    /** The key that the same owner got next under the same name. */
    nextServiceKey: query<{ subject: string; issuedAt: number; owner: string }>()((q, a) =>
      q
        .selectFrom('certificate')
        .innerJoin('spki_history', 'spki_history.spki_sha256', 'certificate.spki_sha256')
        .select([dialect.hex<SpkiSha256>('certificate.spki_sha256').as('spkiSha256'), 'issued_at as issuedAt'])
        .where('device_id', 'is', null)
        .where('subject', '=', a.subject)
        .where('issued_at', '>', a.issuedAt)
        .where('owner', '=', a.owner)
        .orderBy('issued_at')
        .limit(1),
    ),
    /** What keyd signed for itself or for nobody, after this one. */
    journalCertificates: query<{ issuer: IssuerName; signedAt: number; serial: Serial; count: number }>()((q, a) =>
      q
        .selectFrom('journal_certificate')
        .select(journal)
        .where((eb) =>
          eb(
            eb.refTuple('issuer', 'signed_at', 'serial'),
            '>',
            eb.tuple(eb.val(a.issuer), eb.val(a.signedAt), eb.val(bytesOf(a.serial))),
          ),
        )
        .orderBy('issuer')
        .orderBy('signed_at')
        .orderBy('serial')
        .limit(a.count),
    ),
    journalCertificatesBetween: query<{ from: SpkiSha256; to: SpkiSha256; count: number }>()((q, a) =>
      q
        .selectFrom('journal_certificate')
        .select(journal)
        .where('spki_sha256', '>=', bytesOf(a.from))
        .where('spki_sha256', '<=', bytesOf(a.to))
        .orderBy('spki_sha256')
        .limit(a.count),
    ),
    nextJournalCertificate: query<{ issuer: IssuerName; profile: string; signedAt: number }>()((q, a) =>
      q
        .selectFrom('journal_certificate')
        .select(journal)
        .where('issuer', '=', a.issuer)
        .where('signed_at', '>', a.signedAt)
        .where('profile', '=', a.profile)
        .where('fate', '=', 'own')
        .orderBy('signed_at')
        .limit(1),
    ),
  };
}
