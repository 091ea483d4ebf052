import { readFileSync } from 'node:fs';
import { KeysteadError } from '@keystead/core/errors';
import type { RevocationStatement } from '@keystead/core/lifecycle';
import type { OperatorOptions } from './operator.ts';
import type { SignWithOptions } from './statement-signer.ts';

/** The options of `keystead revoke`. */
export interface RevokeOptions extends OperatorOptions, SignWithOptions {
  serial?: string;
  issuer?: string;
  certificate?: string;
  device?: string;
  batch?: string;
  key?: string;
  ca?: string;
  reason?: string;
  invalidityDate?: string;
  hold?: boolean;
  release?: boolean;
  dryRun?: boolean;
  propose?: boolean;
  for: number;
  yes?: boolean;
}

/** The request as the service takes it. */
export function bodyOf(options: RevokeOptions): Record<string, unknown> {
  const act = (options.hold === true && 'hold') || (options.release === true && 'release') || 'revoke';
  return {
    act,
    ...named('serial', options.serial),
    ...named('issuer', options.issuer),
    ...named('certificate', options.certificate === undefined ? undefined : certificateText(options.certificate)),
    ...named('deviceId', options.device),
    ...named('ticketId', options.batch),
    ...named('spkiSha256', options.key),
    ...named('ca', options.ca),
    ...named('reason', options.reason),
    ...named('invalidityDate', options.invalidityDate),
  };
}

const named = (name: string, value: string | undefined): Record<string, string> =>
  value === undefined ? {} : { [name]: value };

/** The same of an order that was signed. */
export function bodyOfOrder({
  act,
  selector,
  reason,
  invalidityDate,
}: RevocationStatement['order']): Record<string, unknown> {
  const { kind, ...rest } = selector;
  return { act, ...rest, ...named('reason', reason), ...named('invalidityDate', invalidityDate) };
}

function certificateText(path: string): string {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch (cause) {
    throw new KeysteadError('cert.not-der', { field: path, seen: 'no readable file', cause });
  }
  const text = bytes.toString('latin1');
  const begin = text.indexOf('-----BEGIN CERTIFICATE-----');
  return begin < 0 ? bytes.toString('base64') : text.slice(begin);
}
