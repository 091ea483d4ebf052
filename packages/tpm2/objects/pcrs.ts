import { hash } from 'node:crypto';
import { KeysteadError } from '@keystead/core/errors';
import { type Channel, EMPTY_AUTH, permanent } from '../channel.ts';
import { COMMANDS } from '../wire/commands.ts';
import { hashAlg, hashBytes, type TpmHash } from '../wire/constants.ts';
import {
  decodePcrSelection,
  encodePcrSelection,
  type PcrSelection,
  type PcrValues,
  pcrDigest,
  pcrNumbers,
} from '../wire/pcr.ts';
import { malformed } from '../wire/reader.ts';
import { join, u16, u32 } from '../wire/writer.ts';

/**
 * The values of PCRs now. A TPM gives a few at a time.
 * @throws KeysteadError `tpm2.pcr-selection` when the bank does not have one of them; `tpm2.*`.
 */
export async function readPcrs(channel: Channel, { bank, pcrs }: PcrSelection): Promise<PcrValues> {
  const values = new Map<number, Uint8Array>();
  for (let wanted = pcrNumbers(pcrs); wanted.length > 0; wanted = wanted.filter((pcr) => !values.has(pcr))) {
    const { parameters } = await channel.run('PcrRead', { parameters: encodePcrSelection({ bank, pcrs: wanted }) });
    parameters.u32('pcrUpdateCounter');
    const given = decodePcrSelection(parameters).find((selection) => selection.bank === bank)?.pcrs ?? [];
    const count = parameters.count(24, 'pcrValues');
    if (count !== given.length) throw malformed('pcrValues', `${count} values for ${given.length} PCRs`);
    const fresh = given.filter((pcr) => wanted.includes(pcr));
    if (fresh.length === 0) {
      throw new KeysteadError('tpm2.pcr-selection', {
        field: 'pcrs',
        seen: `${bank}:${wanted.join(',')}, not in this TPM`,
      });
    }
    for (const pcr of given) values.set(pcr, parameters.sized(hashBytes(bank), 'a PCR value'));
    parameters.end('pcrValues');
  }
  return values;
}

/** Extends a PCR by a digest of its bank. @throws KeysteadError `tpm2.*`. */
export async function extendPcr(channel: Channel, pcr: number, bank: TpmHash, digest: Uint8Array): Promise<void> {
  await channel.run('PcrExtend', {
    handles: [permanent(pcr)],
    auth: [EMPTY_AUTH],
    parameters: join(u32(1), u16(hashAlg(bank)), digest),
  });
}

/**
 * The policy that TPM2_PolicyPCR makes of a session that is fresh (Part 3 section 23.7, rev. 1.59), SHA-256:
 * H(0… ‖ TPM_CC_PolicyPCR ‖ selection ‖ digest of the values).
 */
export function pcrPolicy(bank: TpmHash, values: PcrValues): Uint8Array {
  const selection = encodePcrSelection({ bank, pcrs: [...values.keys()] });
  const parts = join(new Uint8Array(32), u32(COMMANDS.PolicyPcr.code), selection, pcrDigest('sha256', values));
  return new Uint8Array(hash('sha256', parts, 'buffer'));
}

/** The PCRs whose values differ, ascending. */
export function differingPcrs(expected: PcrValues, seen: PcrValues): number[] {
  const differs = ([pcr, value]: [number, Uint8Array]): boolean =>
    Buffer.compare(value, seen.get(pcr) ?? Buffer.of()) !== 0;
  return [...expected].filter(differs).map(([pcr]) => pcr);
}
