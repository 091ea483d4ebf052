import { KeysteadError } from '@keystead/core/errors';
import { firstIssue } from '@keystead/core/lifecycle';
import type { KeydContext } from '../context.ts';
import { OPERATIONS, type OperationName, type Params, type Result } from '../protocol.ts';
import { agreeRestore, requireOpen } from './agree-restore.ts';
import { challengeAttestation } from './challenge-attestation.ts';
import { challengeElement } from './challenge-element.ts';
import { changePolicy, policyHistory, policyUpdate } from './change-policy.ts';
import { commissionFactory } from './commission-factory.ts';
import { deriveUnitKey } from './derive-unit-key.ts';
import { factories, factoryCommission } from './factories.ts';
import { firmwareKeys, firmwareSignatures, signFirmware } from './firmware.ts';
import { orderFirmwareKey } from './firmware-key.ts';
import { issue } from './issue.ts';
import { issueServerKey } from './issue-server-key.ts';
import { changeKey, keys } from './keys.ts';
import { makeUnitKey } from './make-unit-key.ts';
import { orderRevocation } from './order-revocation.ts';
import { provision } from './provision.ts';
import { journal, status, trust } from './read.ts';
import { reconciliation } from './reconciliation.ts';
import { recount } from './recount.ts';
import { releaseHold } from './release-hold.ts';
import { resolve } from './resolve.ts';
import { revokeCa, signRootCrl } from './root-crl.ts';
import { sealParcel } from './seal-parcel.ts';
import { signBackupManifest } from './sign-backup.ts';
import { signCheckpoint } from './sign-checkpoint.ts';
import { signConsignment } from './sign-consignment.ts';
import { listRevocations, signCrl } from './sign-crl.ts';
import { signEvidence } from './sign-evidence.ts';
import { signHello } from './sign-hello.ts';
import { signOcsp } from './sign-ocsp.ts';
import { signOff } from './sign-off.ts';
import { signTimestamp } from './sign-timestamp.ts';
import { takeConsignment } from './take-consignment.ts';
import { takeCrls } from './take-crls.ts';
import { tlsSealingKey } from './tls-sealing-key.ts';
import { signTrustBundle, trustBundles, trustIssuers, trustRevocations, trustSerials, trustStatus } from './trust.ts';
import { signTufStatus, tufRepositories } from './tuf.ts';

type Operation<Op extends OperationName> = (keyd: KeydContext, params: Params<Op>) => Promise<Result<Op>>;

const WORK: { readonly [Op in OperationName]: Operation<Op> } = {
  status,
  trust,
  issue,
  issueServerKey,
  provision,
  challengeAttestation,
  challengeElement,
  makeUnitKey,
  deriveUnitKey,
  signOcsp,
  signCrl,
  listRevocations,
  signCheckpoint,
  signEvidence,
  signBackupManifest,
  journal,
  policyHistory,
  changePolicy,
  keys,
  changeKey,
  releaseHold,
  commissionFactory,
  factories,
  factoryCommission,
  signConsignment,
  sealParcel,
  takeConsignment,
  resolve,
  reconciliation,
  takeCrls,
  signHello,
  policyUpdate,
  signOff,
  signRootCrl,
  revokeCa,
  recount,
  signFirmware,
  firmwareSignatures,
  firmwareKeys,
  orderFirmwareKey,
  signTimestamp,
  signTufStatus,
  tufRepositories,
  signTrustBundle,
  trustBundles,
  trustStatus,
  trustRevocations,
  trustSerials,
  trustIssuers,
  // After a restore.
  agreeRestore,
  // Revocations by several people.
  orderRevocation,
  // serve's own TLS keys.
  tlsSealingKey,
};

/** These change what the others go by, and see to it themselves that none is under way. */
const ALONE: ReadonlySet<OperationName> = new Set<OperationName>(['changePolicy', 'recount']);

/** These make no certificate, and ask since when one may be under way: were they among them, they would wait for themselves. */
const DATES_NOTHING: ReadonlySet<OperationName> = new Set<OperationName>(['signConsignment', 'signTrustBundle']);

/**
 * Checks the form of an operation's parameters and carries it out. Whatever it signed is durable when it resolves.
 * @throws KeysteadError `request.malformed` with the field; `restore.pending`; what the operation throws.
 */
export async function operate<Op extends OperationName>(
  keyd: KeydContext,
  op: Op,
  params: unknown,
): Promise<Result<Op>> {
  requireOpen(keyd, op);
  const parsed = OPERATIONS[op].params.safeParse(params);
  if (!parsed.success) {
    throw new KeysteadError('request.malformed', { ...firstIssue(parsed.error, 'params'), cause: parsed.error });
  }
  const work = (): Promise<Result<Op>> => WORK[op](keyd, parsed.data as Params<Op>);
  return keyd.underWay.during(parsed.data, DATES_NOTHING.has(op) ? undefined : keyd.state.time.last, () =>
    ALONE.has(op) ? work() : keyd.turnstile.through(work),
  );
}
