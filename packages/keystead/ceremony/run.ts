import { founding } from './founding.ts';
import { holdCeremony } from './hold.ts';
import { readInputs } from './inputs.ts';
import type { CeremonyResult, FoundingOptions } from './options.ts';
import type { CeremonyIo } from './session.ts';

/**
 * Holds the founding ceremony: roots, intermediates, CRLs, bundle, signed transcript. REQ-KEY-GEN-02, REQ-KEY-SOD-01.
 * @throws KeysteadError `ceremony.*`, `policy.*`, `csr.*`, `key.*`, with the field and the rule.
 */
export const runCeremony = (options: FoundingOptions, io: CeremonyIo): Promise<CeremonyResult> =>
  holdCeremony(options, () => founding(readInputs(options.policy, options.request)), io);
