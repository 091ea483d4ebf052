import { KeysteadError } from '@keystead/core/errors';
import { FIT, type FirmwareFormat, MCUBOOT } from '@keystead/core/firmware';

/** Every format that this version reads and puts together. */
const FORMATS: readonly FirmwareFormat[] = [MCUBOOT, FIT];

/** The format of this name. @throws KeysteadError `firmware.format-unknown` where this version has none. */
export function formatOf(name: string): FirmwareFormat {
  const format = FORMATS.find((one) => one.name === name);
  if (format === undefined) throw new KeysteadError('firmware.format-unknown', { field: 'format', seen: name });
  return format;
}
