import { z } from 'zod';
import { AgreeRestore } from './wire/agree-restore.ts';
import { ChallengeAttestation, unitAtLine } from './wire/attestation.ts';
import { CommissionFactory, Factories, FactoryCommission } from './wire/commission-factory.ts';
import { PolicyUpdate, SignHello } from './wire/factory-news.ts';
import { TakeCrls } from './wire/factory-node.ts';
import { FirmwareKeys, FirmwareSignatures, SignFirmware } from './wire/firmware.ts';
import { OrderFirmwareKey } from './wire/firmware-key.ts';
import { Trust } from './wire/hierarchy.ts';
import { Issue } from './wire/issue.ts';
import { IssueServerKey } from './wire/issue-server-key.ts';
import { Journal } from './wire/journal.ts';
import { ChangeKey, Keys } from './wire/keys.ts';
import { OrderRevocation } from './wire/order-revocation.ts';
import { ChangePolicy, PolicyHistory } from './wire/policy.ts';
import { Provision } from './wire/provision.ts';
import { Reconciliation, Resolve, SealParcel, SignConsignment, TakeConsignment } from './wire/reconciliation.ts';
import { RecountOperation } from './wire/recount.ts';
import { ReleaseHold } from './wire/release-hold.ts';
import { RevokeCa, SignRootCrl } from './wire/root-crl.ts';
import { SignBackupManifest } from './wire/sign-backup.ts';
import { SignCheckpoint } from './wire/sign-checkpoint.ts';
import { ListRevocations, SignCrl } from './wire/sign-crl.ts';
import { SignEvidence } from './wire/sign-evidence.ts';
import { SignOcsp } from './wire/sign-ocsp.ts';
import { SignTimestamp } from './wire/sign-timestamp.ts';
import { SignOff } from './wire/station.ts';
import { Status } from './wire/status.ts';
import { TlsSealingKey } from './wire/tls-sealing-key.ts';
import {
  SignTrustBundle,
  TrustBundles,
  TrustIssuers,
  TrustRevocations,
  TrustSerials,
  TrustStatus,
} from './wire/trust.ts';
import { SignTufStatus, TufRepositoriesOperation } from './wire/tuf.ts';
import { challengeElement, DeriveUnitKey, makeUnitKey } from './wire/unit-ways.ts';

/**
 * Everything that keyd does for others. None signs bytes that the caller chose: each takes fields, checks them
 * against the policy, and composes what is signed itself. Unknown fields are refused. REQ-KEY-STO-03
 */
export const OPERATIONS = {
  status: Status,
  trust: Trust,
  issue: Issue,
  issueServerKey: IssueServerKey,
  provision: Provision,
  challengeAttestation: ChallengeAttestation,
  challengeElement: challengeElement(unitAtLine),
  makeUnitKey: makeUnitKey(unitAtLine),
  deriveUnitKey: DeriveUnitKey,
  signOcsp: SignOcsp,
  signCrl: SignCrl,
  listRevocations: ListRevocations,
  signCheckpoint: SignCheckpoint,
  signEvidence: SignEvidence,
  signBackupManifest: SignBackupManifest,
  journal: Journal,
  policyHistory: PolicyHistory,
  changePolicy: ChangePolicy,
  keys: Keys,
  changeKey: ChangeKey,
  releaseHold: ReleaseHold,
  // Factory nodes (fac-hq).
  commissionFactory: CommissionFactory,
  factories: Factories,
  factoryCommission: FactoryCommission,
  signConsignment: SignConsignment,
  sealParcel: SealParcel,
  takeConsignment: TakeConsignment,
  resolve: Resolve,
  reconciliation: Reconciliation,
  takeCrls: TakeCrls,
  signHello: SignHello,
  policyUpdate: PolicyUpdate,
  signOff: SignOff,
  signRootCrl: SignRootCrl,
  revokeCa: RevokeCa,
  recount: RecountOperation,
  // Firmware.
  signFirmware: SignFirmware,
  firmwareSignatures: FirmwareSignatures,
  firmwareKeys: FirmwareKeys,
  orderFirmwareKey: OrderFirmwareKey,
  // Time stamps.
  signTimestamp: SignTimestamp,
  // Update repositories.
  signTufStatus: SignTufStatus,
  tufRepositories: TufRepositoriesOperation,
  // Trust bundles.
  signTrustBundle: SignTrustBundle,
  trustBundles: TrustBundles,
  trustStatus: TrustStatus,
  trustRevocations: TrustRevocations,
  trustSerials: TrustSerials,
  trustIssuers: TrustIssuers,
  // After a restore.
  agreeRestore: AgreeRestore,
  // Revocations by several people.
  orderRevocation: OrderRevocation,
  // serve's own TLS keys.
  tlsSealingKey: TlsSealingKey,
} as const;

export type OperationName = keyof typeof OPERATIONS;
export const OPERATION_NAMES = Object.keys(OPERATIONS) as OperationName[];

/** What a caller gives, with bytes as Uint8Array and times as Date. */
export type Params<Op extends OperationName> = z.output<(typeof OPERATIONS)[Op]['params']>;
/** What a caller gets. */
export type Result<Op extends OperationName> = z.output<(typeof OPERATIONS)[Op]['result']>;

/** A request on the wire. */
export const RequestSchema = z.strictObject({
  /** Chosen by the caller; the answer carries it. */
  id: z.int().min(0),
  op: z.enum(OPERATION_NAMES),
  params: z.unknown(),
});

/** An answer on the wire: `ok`, or the error as KeysteadError.toJSON() gives it. */
export const AnswerSchema = z.union([
  z.strictObject({ id: z.int().min(0), ok: z.unknown() }),
  z.strictObject({
    id: z.int().min(0),
    error: z.strictObject({
      code: z.string(),
      message: z.string(),
      field: z.string().optional(),
      seen: z.string().optional(),
      remedy: z.string().optional(),
    }),
  }),
]);

/**
 * A message as JSON: bytes become base64, times ISO 8601. A plain replacer would see a Date only after its own
 * toJSON and a Buffer as an object, hence `this`.
 */
export function toWire(message: unknown): string {
  return JSON.stringify(message, wireValue);
}

function wireValue(this: unknown, key: string, value: unknown): unknown {
  const original = typeof this === 'object' && this !== null ? Reflect.get(this, key) : value;
  if (!(original instanceof Uint8Array)) return value;
  return Buffer.from(original.buffer, original.byteOffset, original.byteLength).toString('base64');
}
