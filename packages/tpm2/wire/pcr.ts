import { hash } from 'node:crypto';
import { KeysteadError } from '@keystead/core/errors';
import { hashAlg, hashOf, type TpmHash } from './constants.ts';
import { malformed, type WireReader } from './reader.ts';
import { join, u8, u16, u32 } from './writer.ts';

/** Some PCRs of one bank (TPMS_PCR_SELECTION, Part 2 section 10.6.2). */
export interface PcrSelection<Bank extends TpmHash = TpmHash> {
  readonly bank: Bank;
  /** Numbers 0 to 23, ascending, each once. */
  readonly pcrs: readonly number[];
}

/** Values of PCRs by their number. */
export type PcrValues = ReadonlyMap<number, Uint8Array>;

/** PC Client PTP section 4.6: 24 PCRs, so three octets of selection. */
const PCR_COUNT = 24;
const SELECT_BYTES = 3;
const BANK_CEILING = 16;

/**
 * The numbers in ascending order, each once. @throws KeysteadError `tpm2.pcr-selection` when there is none, or one that
 * is no whole number of 0 to 23.
 */
export function pcrNumbers(pcrs: readonly number[]): number[] {
  const bad = pcrs.find((pcr) => !Number.isInteger(pcr) || pcr < 0 || pcr >= PCR_COUNT);
  if (pcrs.length === 0 || bad !== undefined) {
    throw new KeysteadError('tpm2.pcr-selection', { field: 'pcrs', seen: bad === undefined ? 'none' : String(bad) });
  }
  return [...new Set(pcrs)].sort((a, b) => a - b);
}

/** TPML_PCR_SELECTION (section 10.9.7) with one bank. */
export function encodePcrSelection({ bank, pcrs }: PcrSelection): Uint8Array {
  const bits = new Uint8Array(SELECT_BYTES);
  for (const pcr of pcrs) bits[pcr >> 3] = (bits[pcr >> 3] ?? 0) | (1 << (pcr & 7));
  return join(u32(1), u16(hashAlg(bank)), u8(SELECT_BYTES), bits);
}

/** @throws KeysteadError `tpm2.malformed`. */
export function decodePcrSelection(reader: WireReader): PcrSelection[] {
  const selections: PcrSelection[] = [];
  for (let left = reader.count(BANK_CEILING, 'PCR banks'); left > 0; left -= 1) {
    const bank = hashOf(reader.u16('the bank'));
    const bits = reader.bytes(reader.u8('the length of the selection'), 'the selection');
    // A bank of a hash that is not known here cannot be asked for; that it is there is no fault.
    if (bank === undefined) continue;
    const pcrs = [...bits].flatMap((octet, at) =>
      [0, 1, 2, 3, 4, 5, 6, 7].filter((bit) => ((octet >> bit) & 1) === 1).map((bit) => at * 8 + bit),
    );
    if (pcrs.some((pcr) => pcr >= PCR_COUNT)) throw malformed('the selection', 'a PCR above 23');
    selections.push({ bank, pcrs });
  }
  return selections;
}

/** The digest of a selection: the hash over the values in ascending order (Part 1 section 17.6). */
export function pcrDigest(alg: TpmHash, values: PcrValues): Uint8Array {
  const ordered = [...values].sort(([a], [b]) => a - b).map(([, value]) => value);
  return new Uint8Array(hash(alg, join(...ordered), 'buffer'));
}
