import type { Serial } from '../bytes/index.ts';

/** More would be more files and signatures than a download of a smaller list saves. */
export const MOST_SHARDS = 64;

/** One partition of what a CA lists. */
export interface Shard {
  /** From 0. */
  readonly index: number;
  readonly of: number;
}

/** One of the CRLs of an issuer. */
export interface CrlList<Issuer extends string = string> {
  readonly issuer: Issuer;
  /** Absent for the list of all that the issuer revoked. */
  readonly shard?: Shard;
  readonly delta?: boolean;
}

/**
 * The name of a list, as it stands in addresses and file names: `operational`, `operational-delta`,
 * `operational-3-of-16`, `operational-3-of-16-delta`.
 */
export function crlListName({ issuer, shard, delta }: CrlList): string {
  const part = shard === undefined ? '' : `-${shard.index}-of-${shard.of}`;
  return `${issuer}${part}${delta === true ? '-delta' : ''}`;
}

/** Every partition, the first one first. */
export const shardsOf = (of: number): Shard[] => Array.from({ length: of }, (_, index) => ({ index, of }));

/**
 * The partition to which a serial number belongs when there are `of`: its last four octets, which are random, modulo
 * that. It depends on nothing else, so a certificate stays in its partition whatever the policy says later, and
 * whoever holds the certificate can check it. REQ-KEY-REV-01
 */
export function shardIndex(serial: Serial, of: number): number {
  return Number.parseInt(serial.slice(-8), 16) % of;
}
