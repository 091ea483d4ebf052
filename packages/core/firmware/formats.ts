import { KeysteadError } from '../errors/index.ts';
import { FIT } from './fit/index.ts';
import type { FirmwareFormat } from './format.ts';
import type { FirmwareFormatName } from './format-names.ts';
import { MCUBOOT } from './mcuboot/index.ts';

/** Every format that this program signs, by its name. Not part of the room's face: tests alone put one of theirs here. */
export const FORMATS = new Map<FirmwareFormatName, FirmwareFormat>(
  [MCUBOOT, FIT].map((format) => [format.name, format]),
);

/** A format by its name. @throws KeysteadError `firmware.format-unknown`. */
export function firmwareFormat(name: FirmwareFormatName): FirmwareFormat {
  const format = FORMATS.get(name);
  if (format === undefined) throw new KeysteadError('firmware.format-unknown', { field: 'format', seen: name });
  return format;
}
