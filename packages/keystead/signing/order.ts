import type { Signer } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { FIRMWARE_FORMATS, type FirmwareFormatName } from '@keystead/core/firmware';
import type { ApprovalQuorum, Policy, Role } from '@keystead/core/lifecycle';
import { z } from 'zod';
import {
  type Agreed,
  requireEnough as enough,
  type OrderKind,
  orderSha256Of,
  type Statement,
  statementSchema,
  verifyAgreement,
} from '../../core/lifecycle/agreement.ts';
import { type OperatorDocument, parseDocumentOf, signDocumentOf } from '../../core/lifecycle/operator-document.ts';
import { REVOCATION_ORDER_CODES } from '../../core/lifecycle/revocation-statement.ts';

export type FirmwareEnvironment = 'production' | 'development';

const name = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, 'must be 1 to 64 letters, digits, . _ -');
const hash = z.string().regex(/^[0-9a-f]{64}$/, 'must be a SHA-256 in lower-case hex');

const OrderSchema = z.strictObject({
  id: name,
  product: name,
  environment: z.enum(['production', 'development']),
  target: name,
  version: z.string().min(1).max(64),
  securityCounter: z.int().min(0).max(0xffff_ffff).nullable(),
  format: z.enum(FIRMWARE_FORMATS),
  keys: z.array(name).min(1).max(4),
  image: z.strictObject({ sha256: hash, bytes: z.int().min(0) }),
  subjectSha256: hash,
  documents: z.array(z.strictObject({ name: z.string().min(1).max(64), sha256: hash })).max(8),
  reason: z.string().min(1).max(500),
  rollback: z.boolean(),
});
export type FirmwareOrder = z.infer<typeof OrderSchema>;
export type FirmwareStatement = Statement<FirmwareOrder>;

interface FirmwareLine {
  readonly keys: readonly string[];
  readonly formats: readonly FirmwareFormatName[];
  readonly approvals: number;
  readonly roles: readonly Role[];
}
type FirmwarePolicy = {
  readonly products: readonly {
    readonly product: string;
    readonly environments: Partial<Record<FirmwareEnvironment, FirmwareLine>>;
  }[];
};

/** What the policy says of a product in an environment. @throws KeysteadError `signing.policy`. */
export function lineOf(
  policy: Policy,
  asked: Pick<FirmwareOrder, 'product' | 'environment'> & { format?: string },
): FirmwareLine {
  const { firmware } = policy as Policy & { firmware?: FirmwarePolicy };
  const line = firmware?.products.find(({ product }) => product === asked.product)?.environments[asked.environment];
  if (line === undefined)
    throw new KeysteadError('signing.policy', { field: 'product', seen: `${asked.product} in ${asked.environment}` });
  if (asked.format !== undefined && !line.formats.some((one) => one === asked.format))
    throw new KeysteadError('signing.policy', { field: 'format', seen: asked.format });
  return line;
}

export const firmwareQuorum = (policy: Policy, order: FirmwareOrder): ApprovalQuorum => lineOf(policy, order);

const KIND: OrderKind<FirmwareOrder> = {
  context: 'keystead firmware signature v1\n',
  name: 'statement',
  schema: statementSchema(OrderSchema) as never,
  codes: REVOCATION_ORDER_CODES,
  permissions: { sign: 'signing.read', propose: 'signing.request' },
  quorum: firmwareQuorum,
};

export const signFirmwareStatement = (
  draft: Omit<FirmwareStatement, 'v'>,
  signerName: string,
  signer: Signer,
): Promise<string> => signDocumentOf(KIND, { v: 1, ...draft } as FirmwareStatement, signerName, signer);
export const parseFirmwareStatement = (text: string): OperatorDocument<FirmwareStatement> =>
  parseDocumentOf(KIND, text);
export const firmwareOrderSha256 = (order: FirmwareOrder): string => orderSha256Of(order);
export const verifyFirmwareStatements = (texts: readonly string[], policy: Policy, now: Date): Agreed<FirmwareOrder> =>
  verifyAgreement(KIND, texts, policy, now);
export const requireEnough = (agreed: Agreed<FirmwareOrder>): void => enough(KIND, agreed);

/** By their numbers, part by part. */
export function compareVersions(a: string, b: string): number {
  const [left, right] = [a, b].map((text) => text.split(/[.+-]/));
  for (let at = 0; at < Math.max(left?.length ?? 0, right?.length ?? 0); at++) {
    const [one, two] = [Number(left?.[at] ?? 0), Number(right?.[at] ?? 0)];
    if (one !== two) return one < two ? -1 : 1;
  }
  return 0;
}
