import { type DerSpki, toBase64, toHex } from '@keystead/core/bytes';
import { type Signer, sha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import {
  envelopeBytes,
  isHalfFresh,
  nextSnapshot,
  nextTimestamp,
  readRole,
  requireNextRoot,
  requireThreshold,
  signedBytes,
  signersOf,
  type TufEnvelope,
  type TufRoot,
  type TufSnapshot,
  type TufTimestamp,
  tufKeyId,
  tufKeyOf,
  tufSubject,
  withSignature,
} from '@keystead/core/firmware';
import { type TufRepositoryRule, tufKeystoreId, tufRepositoryRule } from '@keystead/core/lifecycle';
import type { KeydContext } from '../context.ts';
import { requireHeadquarters } from '../factory/node.ts';
import type { Params, Result } from '../protocol.ts';
import { signVerified } from '../sign-verified.ts';
import type { KnownRepository, TufStatus } from '../tuf-repositories.ts';

/**
 * Signs snapshot and timestamp of an update repository (TUF 1.0). keyd goes by the root whose first version a quorum put
 * into the policy and by those that follow from it, which it writes down; verifies that the targets carry the threshold of
 * that root and that their version never falls; composes both files itself, by its own clock; and writes them down before
 * anybody has them. What is fresh for half of its time is given again as it is, so that who asks without end fills nothing.
 * A root or targets that are refused leave everything as it was. REQ-KEY-STO-03
 * @throws KeysteadError `tuf.*`, `firmware.malformed`, `firmware.tuf-version`, `firmware.tuf-threshold`,
 *   `firmware.tuf-expired`, `key.use-forbidden`, `key.cryptoperiod-ended`, `keystore.key-missing`, `clock.went-back`,
 *   `keyd.journal-failed`, `keyd.signature-faulty`.
 */
export function signTufStatus(keyd: KeydContext, params: Params<'signTufStatus'>): Promise<Result<'signTufStatus'>> {
  return keyd.state.tuf.queue.through(async () => {
    const now = keyd.now();
    requireHeadquarters(keyd.hierarchy.node, 'repository', 'the status of an update repository');
    const rule = tufRepositoryRule(keyd.policy, params.repository);
    const { tuf } = keyd.state;
    const { raises, forgotAt } = keyd.state.lapses;
    const before = tuf.of(params.repository);
    const fresh = newRoots(rule, before, params.roots);
    const root = fresh.at(-1)?.root ?? before?.root;
    if (root === undefined)
      throw new KeysteadError('tuf.root-unknown', { field: 'roots', seen: `none of ${params.repository}` });
    const targets = readRole('targets', params.targets).signed;
    const least = tuf.leastVersion(params.repository, raises, forgotAt);
    const last = before?.status;
    const kept = fresh.length === 0 && last !== undefined && isFresh(last, root, rule, now) ? last : undefined;
    const until = kept?.timestamp.signed.expires ?? now.getTime() + rule.timestampSeconds * 1000;
    const made = nextSnapshot(root, params.targets, last?.snapshot, rule, now, { least, until: new Date(until) });
    if (made === undefined && kept !== undefined) return tell(root, targets.version, kept);
    const keys = new Set<string>();
    const signed = async <S extends TufSnapshot | TufTimestamp>(content: S): Promise<Uint8Array> => {
      const { envelope, by } = await signRole(keyd, rule, root, content, now);
      for (const id of by) keys.add(id);
      return envelopeBytes(envelope);
    };
    const snapshot = made === undefined ? last?.snapshot.bytes : await signed(made);
    if (snapshot === undefined) throw new KeysteadError('internal.unexpected', { field: 'snapshot' });
    const next = nextTimestamp(root, snapshot, last?.timestamp.signed, rule, now, least);
    const timestamp = await signed(next);
    const common = { time: now.toISOString(), repository: params.repository, requestId: params.requestId };
    const roots = fresh.map(({ root: { version }, bytes }) => ({
      ...{ ...common, kind: 'tuf-root' as const, version },
      ...{ sha256: toHex(sha256(bytes)), root: toBase64(bytes) },
    }));
    const entry = {
      ...{ ...common, kind: 'tuf-status' as const, root: root.version, keys: [...keys] },
      targets: { version: targets.version, sha256: toHex(sha256(params.targets)) },
      ...(made === undefined ? {} : { snapshot: toBase64(snapshot) }),
      timestamp: toBase64(timestamp),
    };
    for (const one of roots) {
      await keyd.journal.append(one);
      tuf.takeRoot(one);
    }
    await keyd.journal.append(entry);
    tuf.takeStatus(entry, raises);
    const status = tuf.of(params.repository)?.status;
    if (status === undefined) throw new KeysteadError('internal.unexpected', { field: 'status' });
    return tell(root, targets.version, status);
  });
}

interface NewRoot {
  readonly root: TufRoot;
  readonly bytes: Uint8Array;
}

/**
 * The roots among those that were brought which follow what keyd has; what it has already is passed over. The first one is
 * the very file whose hash people put into the policy: nobody else says by whom a repository is signed.
 * @throws KeysteadError `tuf.root-unknown`, `firmware.malformed`, `firmware.tuf-version`, `firmware.tuf-threshold`.
 */
function newRoots(
  { repository, root: anchor }: TufRepositoryRule,
  before: KnownRepository | undefined,
  brought: readonly Uint8Array[],
): readonly NewRoot[] {
  if (anchor === undefined)
    throw new KeysteadError('tuf.root-unknown', { field: 'root', seen: `the policy names none of ${repository}` });
  if (before !== undefined && before.firstRoot !== anchor) {
    const seen = `${anchor}, where ${repository} began with ${before.firstRoot}`;
    throw new KeysteadError('tuf.root-unknown', { field: 'root', seen });
  }
  const fresh: NewRoot[] = [];
  let current = before?.root;
  for (const bytes of brought) {
    const next = readRole('root', bytes);
    if (current !== undefined && next.signed.version <= current.version) continue;
    if (current === undefined && toHex(sha256(bytes)) !== anchor) {
      const seen = `a first root with SHA-256 ${toHex(sha256(bytes))}`;
      throw new KeysteadError('tuf.root-unknown', { field: 'roots', seen });
    }
    requireNextRoot(current, next);
    current = next.signed;
    fresh.push({ root: current, bytes });
  }
  return fresh;
}

/** Whether what was signed last is good for at least half of its time, and by the keys that count now. */
function isFresh({ timestamp }: TufStatus, root: TufRoot, { timestampSeconds }: TufRepositoryRule, now: Date): boolean {
  const { threshold } = root.roles.timestamp;
  return (
    isHalfFresh(timestamp.signed, timestampSeconds, now) && signersOf(timestamp, root, 'timestamp').length >= threshold
  );
}

/**
 * Signs by as many of keyd's keys of the repository as the root wants of the role.
 * @throws KeysteadError `tuf.key-unnamed`, and why a key that is named signs nothing.
 */
async function signRole<S extends TufSnapshot | TufTimestamp>(
  keyd: KeydContext,
  rule: TufRepositoryRule,
  root: TufRoot,
  signed: S,
  now: Date,
): Promise<{ envelope: TufEnvelope<S>; by: readonly string[] }> {
  const { keyids, threshold } = root.roles[signed._type];
  const subject = tufSubject(signed);
  let envelope: TufEnvelope<S> = { signed, subject, signatures: [] };
  const by: string[] = [];
  let refused: unknown;
  for (const { id } of rule.keys) {
    if (by.length === threshold) break;
    try {
      const signer = usable(keyd, id, now);
      const keyid = tufKeyId(tufKeyOf(signer.spki));
      if (!keyids.includes(keyid)) continue;
      envelope = withSignature(envelope, keyid, await signVerified(signer, signedBytes(subject)));
      by.push(id);
    } catch (error) {
      // In a transition one of them may be stopped already.
      refused ??= error;
    }
  }
  if (by.length >= threshold) {
    requireThreshold(envelope, root, signed._type);
    return { envelope, by };
  }
  if (refused !== undefined) throw refused;
  const seen = `${by.length} of ${threshold} for ${signed._type} in root ${root.version}`;
  throw new KeysteadError('tuf.key-unnamed', { field: 'keys', seen });
}

/** @throws KeysteadError `keystore.key-missing`, `key.use-forbidden`, `key.cryptoperiod-ended`. */
function usable(keyd: KeydContext, id: string, now: Date): Signer {
  keyd.ledger.require(tufKeystoreId(id), 'protect', now);
  return keyd.signerOf(tufKeystoreId(id));
}

const tell = (
  { version: root }: TufRoot,
  targets: number,
  { snapshot, timestamp }: TufStatus,
): Result<'signTufStatus'> => ({
  root,
  targets,
  snapshot: { version: snapshot.signed.version, bytes: snapshot.bytes },
  timestamp: { version: timestamp.signed.version, bytes: timestamp.bytes },
  until: new Date(timestamp.signed.expires),
});

/** The update repositories of the policy in force, with their keys for the root. */
export async function tufRepositories(keyd: KeydContext): Promise<Result<'tufRepositories'>> {
  const now = keyd.now();
  return {
    repositories: (keyd.policy.tuf?.repositories ?? []).map(({ repository, keys, root: anchor }) => {
      const known = keyd.state.tuf.of(repository);
      const status = known?.status;
      return {
        repository,
        keys: keys.map(({ id }) => ({ id, ...keyFacts(keyd, id, now) })),
        rooted: anchor !== undefined,
        root: known?.root.version ?? null,
        targets: status?.snapshot.signed.meta['targets.json'].version ?? null,
        snapshot: status?.snapshot.signed.version ?? null,
        timestamp: status?.timestamp.signed.version ?? null,
        until: status === undefined ? null : new Date(status.timestamp.signed.expires),
      };
    }),
  };
}

function keyFacts(keyd: KeydContext, id: string, now: Date): { spki: DerSpki | null; refused: string | null } {
  const spki = keyd.ledger.has(tufKeystoreId(id)) ? keyd.signerOf(tufKeystoreId(id)).spki : null;
  try {
    usable(keyd, id, now);
    return { spki, refused: null };
  } catch (error) {
    if (error instanceof KeysteadError) return { spki, refused: error.message };
    throw error;
  }
}
