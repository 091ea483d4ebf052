import { toBase64, toHex } from '@keystead/core/bytes';
import { sha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import {
  ableFor,
  type BackupPolicy,
  formatManifest,
  MANIFEST_FORMAT,
  operatorOf,
  type Policy,
  permits,
  requireMember,
} from '@keystead/core/lifecycle';
import { openCheckpoint, parseVerifierKey } from '@keystead/core/log';
import type { KeydContext } from '../context.ts';
import { signDocument } from '../documents.ts';
import { requireHeadquarters } from '../factory/node.ts';
import type { Params, Result } from '../protocol.ts';

/**
 * Signs the manifest of a backup. keyd composes it: who the custodians are, how many it takes and which keys the
 * shares are for is the policy's word; log, policy and software are its own. It checks that the operator may do this,
 * that the checkpoint is one that it signed, and that no file of keys is listed. That the hashes are those of the
 * files is what the caller says; whoever restores finds out. REQ-KEY-BAK-01, REQ-KEY-BAK-02
 * @throws KeysteadError `operator.*`, `backup.not-configured`, `backup.custodian-unknown`, `backup.*`, `note.*`,
 *   `clock.went-back`, `keyd.journal-failed`.
 */
export async function signBackupManifest(
  keyd: KeydContext,
  params: Params<'signBackupManifest'>,
): Promise<Result<'signBackupManifest'>> {
  const now = keyd.now();
  // A node that was set back would count units twice: one that is lost is made anew, under another name.
  requireHeadquarters(keyd.hierarchy.node, 'backup', 'a backup');
  const { backupId, operator, checkpoint, payload, members, shares, requestId } = params;
  requireBackupOperator(keyd, operator);
  const { backup } = keyd.policy;
  if (backup === undefined) throw new KeysteadError('backup.not-configured', { field: 'policy.backup' });
  requireReachable(keyd.policy);
  // Before anything else that may be wrong: whoever asks for keys hears the rule.
  for (const { path } of members) requireMember(path);
  if (checkpoint !== null) requireOwnCheckpoint(keyd, checkpoint);
  const { software, policySha256, logOrigin, evidenceSigner } = keyd.provenance;
  const manifest = formatManifest({
    format: MANIFEST_FORMAT,
    backupId,
    createdAt: now.toISOString(),
    createdBy: operator,
    requestId,
    software,
    logOrigin,
    policySha256,
    checkpoint,
    payload,
    members,
    threshold: backup.threshold,
    custodians: sharesOf(backup, shares),
    signer: { certificate: toBase64(evidenceSigner), issuer: toBase64(keyd.hierarchy.certificates.server) },
  });
  await keyd.journal.append({
    time: now.toISOString(),
    kind: 'document',
    document: 'backup',
    subject: backupId,
    sha256: toHex(sha256(Buffer.from(manifest, 'utf8'))),
    requestId,
  });
  const { text, signature } = await signDocument(manifest, keyd.evidence);
  return { manifest: text, signature };
}

function requireBackupOperator(keyd: KeydContext, name: string): void {
  const operator = operatorOf(keyd.policy, name);
  if (operator === undefined) throw new KeysteadError('operator.unknown', { field: 'operator', seen: name });
  if (!permits(operator.roles, 'backup.create')) {
    throw new KeysteadError('operator.forbidden', { field: 'operator', seen: name });
  }
}

/** Of a backup whose quorum nobody could be, no keyd would ever open. REQ-KEY-SOD-02 */
function requireReachable(policy: Policy): void {
  const quorum = policy.quorums.restore;
  const able = ableFor(policy, quorum).filter(({ roles }) => permits(roles, 'restore.sign'));
  const mayAsk = policy.operators.filter(({ roles }) => permits(roles, 'restore.propose'));
  const enough = mayAsk.some(({ name }) => able.filter((one) => one.name !== name).length >= quorum.approvals);
  if (enough) return;
  throw new KeysteadError('restore-order.impossible', {
    field: 'policy.quorums.restore',
    seen: `${quorum.approvals} besides the one who asks, of ${able.map(({ name }) => name).join(', ') || 'nobody'}`,
  });
}

function requireOwnCheckpoint(keyd: KeydContext, note: string): void {
  const { vkey, cosignVkey } = keyd.hierarchy.pins;
  const { size } = openCheckpoint(note, { log: parseVerifierKey(vkey), cosigner: parseVerifierKey(cosignVkey) });
  if (size <= keyd.log.size) return;
  throw new KeysteadError('backup.state-inconsistent', {
    field: 'checkpoint',
    seen: `${size} entries, where this log has ${keyd.log.size}`,
  });
}

/** Exactly the policy's custodians, in its order, each once. */
function sharesOf(backup: BackupPolicy, shares: Params<'signBackupManifest'>['shares']) {
  const stranger = shares.find(({ name }) => !backup.custodians.some((custodian) => custodian.name === name));
  if (stranger !== undefined) {
    throw new KeysteadError('backup.custodian-unknown', { field: 'shares', seen: stranger.name });
  }
  if (shares.length !== backup.custodians.length) {
    throw new KeysteadError('backup.malformed', {
      field: 'shares',
      seen: `${shares.length} shares for ${backup.custodians.length} custodians`,
    });
  }
  return backup.custodians.map(({ name, recipient }, at) => {
    const given = shares[at];
    if (given?.name !== name) throw new KeysteadError('backup.malformed', { field: 'shares', seen: 'another order' });
    return { name, recipient, index: at + 1, commitment: given.commitment, share: toBase64(given.share) };
  });
}
