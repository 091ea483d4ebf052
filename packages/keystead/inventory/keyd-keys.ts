import {
  caOf,
  generationOfIssuer,
  issuerId,
  issuerKeyId,
  issuerOfKey,
  type KeyEvidence,
} from '@keystead/core/lifecycle';
import type { AppendAudit } from '../access/index.ts';
import type { Result } from '../keyd-client/index.ts';
import type { KeyRow, Tx } from '../store/index.ts';
import { enterKey, moveKey, type NewKey, type Told } from './enter.ts';

/** A key as keyd tells it, and what was ordered of it. */
export type KeydKey = Result<'keys'>['keys'][number];
export type KeydMaster = Result<'keys'>['masters'][number];

const OWNER = 'system:keyd';
/** As keyd's ledger names who ends the use of a key that has a successor. */
const BY_CEREMONY = 'ceremony:successor';
/** As it names who suspends firmware keys that come out of a backup. */
const BY_RESTORE = 'restore:backup';

/** A key of keyd's as the inventory enters it. @param certificateEnd notAfter of its certificate, milliseconds. */
export function fromKeyd(key: KeydKey, certificateEnd: number | null, more: KeyEvidence = {}): NewKey {
  const { id, spkiSha256, purpose, algorithm, custody, fips140, createdAt, activatedAt, evidence } = key;
  return {
    ...{ id, spkiSha256, purpose, algorithm, custody, fips140, certificateEnd },
    owner: OWNER,
    generatedAt: createdAt.getTime(),
    activatedAt: activatedAt?.getTime() ?? null,
    evidence: { ...evidence, ...more },
  };
}

/** The master of keyd's keystore as the inventory enters it: it is in use from the moment it was made. */
export function fromMaster(master: KeydMaster): NewKey {
  const { createdAt, evidence, ...facts } = master;
  const at = createdAt.getTime();
  return { ...facts, spkiSha256: null, owner: OWNER, generatedAt: at, activatedAt: at, certificateEnd: null, evidence };
}

/**
 * Takes over, in the caller's transaction, what keyd tells and the inventory does not have: keys that are new, and
 * orders that keyd carried out and that a crash kept from being recorded. It can run at any time and changes nothing
 * where both agree. REQ-KEY-POL-01, REQ-KEY-AUD-01
 * @returns how many keys and changes were recorded.
 */
export function syncKeyd(tx: Tx, audit: AppendAudit, told: Result<'keys'>): number {
  let recorded = 0;
  const found: Told = { actor: { kind: 'system', id: 'keyd' }, reason: 'told by keyd', requestId: 'keyd' };
  for (const key of told.keys) {
    const present = tx.keyBySpki(key.spkiSha256);
    const row = present ?? enterKey(tx, audit, fromKeyd(named(tx, key), null), found);
    if (present === undefined) recorded += 1;
    if (row.state === 'destroyed') continue;
    if (row.state === 'pre-activation' && key.activatedAt !== null) {
      const told: Told = { ...found, reason: 'a ceremony certified it' };
      moveKey(tx, audit, row.id, { event: 'activate', at: key.activatedAt.getTime() }, told);
      recorded += 1;
    }
    const known = tx.keyEvents(row.id).filter(toldByKeyd).length;
    for (const { change, at, by, reason, requestId } of key.changes.slice(known)) {
      const actor: Told['actor'] =
        by === BY_CEREMONY || by === BY_RESTORE
          ? { kind: 'system', id: by === BY_CEREMONY ? 'ceremony' : 'restore' }
          : { kind: 'operator', id: by };
      const order: Told = { actor, reason, requestId };
      moveKey(tx, audit, row.id, { event: change, at: at.getTime() }, order);
      recorded += 1;
    }
  }
  for (const { spkiSha256, at, why } of told.destroyed) {
    const row = tx.keyBySpki(spkiSha256);
    if (row === undefined || row.state === 'destroyed') continue;
    moveKey(tx, audit, row.id, { event: 'destroy', at: at.getTime() }, { ...found, reason: DESTROYED_REASON[why] });
    recorded += 1;
  }
  for (const key of told.keys) if (key.changes.some(({ by }) => by === BY_CEREMONY)) nameSuccessor(tx, key, told);
  for (const master of told.masters) {
    if (tx.key(master.id) !== undefined) continue;
    const row = enterKey(tx, audit, fromMaster(master), found);
    retireOthers(tx, audit, row, { ...found, reason: 'the keystore was sealed by another passphrase' });
    recorded += 1;
  }
  return recorded;
}

const DESTROYED_REASON: Readonly<Record<Result<'keys'>['destroyed'][number]['why'], string>> = {
  retired: 'the policy had retired it',
  killed: 'a quorum had killed it',
  compromised: 'an operator had reported it compromised',
  deactivated: 'an operator had deactivated it',
};

/** The next key of the CA, as the inventory has it. */
function nameSuccessor(tx: Tx, key: KeydKey, { keys }: Result<'keys'>): void {
  const issuer = issuerOfKey(key.id);
  if (issuer === undefined) return;
  const next = issuerKeyId(issuerId(caOf(issuer), generationOfIssuer(issuer) + 1));
  const row = tx.keyBySpki(key.spkiSha256);
  const spki = keys.find(({ id }) => id === next)?.spkiSha256;
  const successor = spki === undefined ? undefined : tx.keyBySpki(spki);
  if (row !== undefined && row.successor === null && successor !== undefined) tx.setSuccessor(row.id, successor.id);
}

/** What keyd tells of a key's history: orders of operators, and the end of a key that has a successor. */
export const toldByKeyd = ({ actor }: { readonly actor: string }): boolean =>
  actor.startsWith('operator:') || actor === 'system:ceremony' || actor === 'system:restore';

/** A later key under a name that stands for an earlier one gets a part of its hash to it. */
function named(tx: Tx, key: KeydKey): KeydKey {
  return tx.key(key.id) === undefined ? key : { ...key, id: `${key.id}.${key.spkiSha256.slice(0, 8)}` };
}

/** Deactivates the keys of the same purpose and owner that were in use before `row`, and names it as their successor. */
export function retireOthers(tx: Tx, audit: AppendAudit, row: KeyRow, told: Told): void {
  for (const other of tx.keys('', 10_000)) {
    if (other.id === row.id || other.purpose !== row.purpose || other.owner !== row.owner) continue;
    if (other.successor === null) tx.setSuccessor(other.id, row.id);
    if (other.state !== 'active') continue;
    moveKey(tx, audit, other.id, { event: 'deactivate', at: row.activatedAt ?? row.generatedAt }, told);
  }
}
