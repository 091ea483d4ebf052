import { KeysteadError } from '@keystead/core/errors';
import {
  FIRMWARE_FORMATS,
  FIT,
  type FirmwareFormat,
  type FirmwareFormatName,
  firmwareFormat,
  MCUBOOT,
} from '@keystead/core/firmware';
import { Command, InvalidArgumentError, Option } from 'commander';
import { durableWrite } from '../files/durable.ts';
import { openImage } from '../files/image-file.ts';
import { table } from './operator.ts';

/** What has a header that can be put before a raw binary, or could have. */
const BOOT_FORMATS: Readonly<Record<string, FirmwareFormat>> = { mcuboot: MCUBOOT, fit: FIT };

const format = (): Option =>
  new Option('--format <name>', 'which boot loader it is for').choices(Object.keys(BOOT_FORMATS)).makeOptionMandatory();

function formatOf(name: string): FirmwareFormat {
  const found = BOOT_FORMATS[name];
  if (found === undefined) throw new KeysteadError('firmware.parameter', { field: 'format', seen: name });
  return found;
}

/** `keystead sign inspect`: what would be signed. Nothing is asked and nothing is changed. */
export function inspectCommand(): Command {
  return new Command('inspect')
    .description('read an image as whoever verifies it will, and show what a signature would cover')
    .argument('<image>', 'the image, unsigned')
    .addOption(new Option('--format <name>', 'what it is').choices(FIRMWARE_FORMATS).makeOptionMandatory())
    .option('--json', 'one JSON document')
    .addHelpText('after', '\nExample:\n  $ keystead sign inspect pump.bin --format mcuboot')
    .action(async (path: string, flags: { format: FirmwareFormatName; json?: boolean }) => {
      await using image = await openImage(path);
      const { subject: _, ...reading } = await firmwareFormat(flags.format).read(image);
      process.stdout.write(
        flags.json === true
          ? `${JSON.stringify(reading, null, 2)}\n`
          : `${table(reading.shown.map(({ name, value }) => [name, value]))}\n`,
      );
    });
}

/** `keystead sign prepare`: the header that a boot loader needs. */
export function prepareCommand(): Command {
  return new Command('prepare')
    .description('put the header of a boot loader before a raw binary, to be signed')
    .argument('<raw>', 'the binary, as it was linked')
    .addOption(format())
    .requiredOption('--set <name=value>', 'a field of the header; once for each', parameter, {})
    .requiredOption('--out <file>', 'the image')
    .addHelpText(
      'after',
      `
Of MCUboot: version, header-size, load-addr, rom-fixed, security-counter (a number or auto), dependencies, erased-value,
boot-record, boot-record-signer: each as imgtool has it.

Example:
  $ keystead sign prepare pump.raw --format mcuboot --set version=2.1.0 --set security-counter=7 --out pump.bin`,
    )
    .action(async (path: string, flags: { format: string; set: Record<string, string>; out: string }) => {
      const { prepare, name } = formatOf(flags.format);
      if (prepare === undefined) {
        throw new KeysteadError('firmware.parameter', { field: 'format', seen: `${name} has tools of its own` });
      }
      await using raw = await openImage(path);
      const image = await prepare(raw, flags.set);
      durableWrite(flags.out, await image.read(0, image.size), 0o644);
    });
}

function parameter(value: string, all: Record<string, string>): Record<string, string> {
  const at = value.indexOf('=');
  if (at < 1) throw new InvalidArgumentError('it is like version=2.1.0');
  const name = value.slice(0, at);
  if (Object.hasOwn(all, name)) throw new InvalidArgumentError(`${name} is given twice`);
  return { ...all, [name]: value.slice(at + 1) };
}
