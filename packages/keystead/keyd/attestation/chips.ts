import { KeysteadError } from '@keystead/core/errors';

/** What a certificate's entry in the journal says of the chip. */
interface ChipEntry {
  readonly subject: string;
  readonly chips?: readonly string[] | undefined;
}

/**
 * Which device has which chip: one chip is one device, for all time. Made again from the journal. A decision and its
 * effect are one synchronous step. REQ-KEY-PROV-03
 */
export class Chips {
  readonly #devices = new Map<string, string>();

  /** Takes an entry of the journal into account, at a start. */
  replay({ subject, chips }: ChipEntry): void {
    for (const id of chips ?? []) this.#devices.set(id, subject);
  }

  /** @throws KeysteadError `element.chip-used` where the chip is another device's. */
  require(deviceId: string, ids: readonly string[]): void {
    for (const id of ids) {
      const owner = this.#devices.get(id);
      if (owner === undefined || owner === deviceId) continue;
      throw new KeysteadError('element.chip-used', { field: 'chip certificate', seen: `the chip of ${owner}` });
    }
  }

  take(deviceId: string, ids: readonly string[]): void {
    for (const id of ids) this.#devices.set(id, deviceId);
  }
}
