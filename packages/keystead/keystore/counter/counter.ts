import { type CounterReading, NO_MARK } from '@keystead/pkcs11';

/** The makes of counters. */
export const COUNTER_MAKES = ['tpm2', 'pkcs11'] as const;
export type CounterMake = (typeof COUNTER_MAKES)[number];

export { type CounterReading, NO_MARK };

/**
 * A number that only goes up, in a module whose memory is on no disk that could be put back. Every make keeps this
 * contract. REQ-KEY-PROV-01
 *
 * Trusted for: what `raise` has acknowledged is never unseen again, by nobody who has the disks of this machine. Not
 * for: a module that was cleared or changed, which shows another value, and is told by it.
 */
export interface MonotonicCounter {
  readonly make: CounterMake;
  /** Which one it is, for people: the TPM and its index, the token and the name on it. */
  readonly name: string;
  /**
   * The value now. Where a step was begun and not taken, its mark may be there already.
   * @throws KeysteadError `counter.missing`, and what the module throws where it cannot be asked.
   */
  read(): Promise<CounterReading>;
  /**
   * Takes the step from `from` to `from + 1`; when the promise resolves, the module has it durably, and nobody else took
   * a step meanwhile. The mark tells a step of one journal from the same step of a copy of it.
   * @throws KeysteadError `counter.moved` where the counter was not at `from`, or another program took a step at the
   *   same time; a step is taken all the same, so that the other one sees it. What {@link read} throws, and then it is
   *   not known whether the step was taken.
   */
  raise(from: number, mark: string): Promise<void>;
  /** May be called again. */
  close(): Promise<void>;
}
