import { KeysteadError } from '../errors/index.ts';
import { authenticode } from './authenticode/index.ts';
import { cms } from './cms/index.ts';
import { cose } from './cose/index.ts';
import { dsse } from './dsse/index.ts';
import { FIT } from './fit/index.ts';
import type { FirmwareFormat } from './format.ts';
import type { FirmwareFormatName } from './format-names.ts';
import { malformed } from './malformed.ts';
import { MCUBOOT } from './mcuboot/index.ts';
import { rauc } from './rauc/index.ts';
import { raucVerity } from './rauc/verity.ts';
import { sshsig } from './sshsig/index.ts';
import { suit } from './suit/index.ts';
import { tuf } from './tuf/index.ts';

const ALL: readonly FirmwareFormat[] = [
  MCUBOOT,
  FIT,
  cms,
  rauc,
  raucVerity,
  authenticode,
  cose,
  suit,
  dsse,
  sshsig,
  tuf,
];

/** Every format that this program signs, by its name. Not part of the room's face: tests alone put one of theirs here. */
export const FORMATS = new Map<FirmwareFormatName, FirmwareFormat>(ALL.map((format) => [format.name, format]));

/**
 * A format by its name. It reads no image without an octet and puts nothing together without a signature
 * (`firmware.unsigned`), whatever the format would make of that. @throws KeysteadError `firmware.format-unknown`.
 */
export function firmwareFormat(name: FirmwareFormatName): FirmwareFormat {
  const format = FORMATS.get(name);
  if (format === undefined) throw new KeysteadError('firmware.format-unknown', { field: 'format', seen: name });
  return {
    ...format,
    // Of a file that a job left empty most formats would make a signature as of any other.
    async read(image) {
      if (image.size === 0) throw malformed('image', '0 bytes');
      return format.read(image);
    },
    assemble(image, subject, made) {
      if (made.length === 0)
        throw new KeysteadError('firmware.unsigned', { field: 'signatures', seen: `none for ${name}` });
      return format.assemble(image, subject, made);
    },
  };
}
