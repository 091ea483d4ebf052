import { toHex } from '@keystead/core/bytes';
import { sha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { claimDifference, firmwareFormat } from '@keystead/core/firmware';
import {
  type FirmwareOrder,
  operatorOf,
  type Policy,
  permits,
  type Role,
  type StatementSigner,
  signFirmwareStatement,
} from '@keystead/core/lifecycle';
import { systemClock } from '../clock/system.ts';
import { openImage } from '../files/image-file.ts';
import { localFile } from './sign-files.ts';

/**
 * What a person's own copy of an image gives, against the order that they are about to sign: nobody signs for a digest
 * that only the service has seen.
 * @throws KeysteadError `signing.image-differs` with what differs, and of the format.
 */
export async function requireOwnCopy(order: FirmwareOrder, path: string, quiet: boolean): Promise<void> {
  const file = await localFile(path, quiet);
  requireEqual('image.sha256', file.sha256, order.image.sha256);
  requireEqual('image.bytes', file.bytes, order.image.bytes);
  await using image = await openImage(path);
  const format = firmwareFormat(order.format);
  const read = await format.read(image);
  requireEqual('subjectSha256', toHex(sha256(read.subject)), order.subjectSha256);
  const differs = claimDifference(format, read, order);
  if (differs !== undefined) requireEqual(differs.field, differs.image ?? 'none', differs.said);
}

function requireEqual(field: string, own: string | number, order: string | number | null): void {
  if (own === order) return;
  throw new KeysteadError('signing.image-differs', { field, seen: `${own} in your copy, ${order} in the order` });
}

/** One statement of an order: that the signer asks for it, or agrees. */
export function statementOf(
  {
    act,
    order,
    proposer,
    signer,
    role,
    seconds,
  }: {
    readonly act: 'propose' | 'approve';
    readonly order: FirmwareOrder;
    readonly proposer: string;
    readonly signer: string;
    readonly role: Role;
    readonly seconds: number;
  },
  key: StatementSigner,
): Promise<string> {
  const now = systemClock.now().getTime();
  const times = { signedAt: wholeSecond(now), expiresAt: wholeSecond(now + seconds * 1000) };
  return signFirmwareStatement({ act, order, proposer, role, ...times }, signer, key);
}

const wholeSecond = (ms: number): string => `${new Date(ms).toISOString().slice(0, 19)}Z`;

/** The role by which an operator of the policy asks. @throws KeysteadError `operator.unknown`. */
export function askingRole(policy: Policy, name: string): Role {
  const role = operatorOf(policy, name)?.roles.find((held) => permits([held], 'signing.request'));
  if (role === undefined)
    throw new KeysteadError('operator.unknown', { field: '--as', seen: `${name}, who may not ask` });
  return role;
}
