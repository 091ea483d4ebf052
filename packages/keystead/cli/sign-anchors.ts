import { readFileSync } from 'node:fs';
import { type DerCertificate, fromPem } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import {
  ANCHOR_FORMATS,
  type AnchorFormatName,
  anchorSet,
  FIRMWARE_FORMATS,
  type ScopedKey,
} from '@keystead/core/firmware';
import { FIRMWARE_SIGNATURES } from '@keystead/core/lifecycle';
import { Command, InvalidArgumentError, Option } from 'commander';
import { z } from 'zod';
import { durableWrite } from '../files/durable.ts';
import { Layout } from '../files/layout.ts';
import { policyInPlace, readOrRefuse } from '../policy/index.ts';

/** Of a policy, the keys that sign firmware: all of the section that a device's trust comes from. */
const FirmwareKeys = z.object({
  firmware: z.object({
    keys: z.array(
      z.object({
        id: z.string().min(1).max(64),
        algorithm: z.string().max(32),
        product: z.string().max(64),
        environment: z.string().max(32),
        formats: z.array(z.enum(FIRMWARE_FORMATS)),
        signature: z.enum(FIRMWARE_SIGNATURES).optional(),
      }),
    ),
  }),
});

interface Flags {
  data: string;
  policy?: string;
  product: string;
  environment: string;
  format: AnchorFormatName;
  certificate: Map<string, DerCertificate>;
  out?: string;
}

/** `keystead sign anchors`: what a device's boot chain trusts, from the policy by which its firmware is signed. */
export function anchorsCommand(): Command {
  const formats = Object.entries(ANCHOR_FORMATS).map(([name, { title }]) => `  ${name.padEnd(9)} ${title}`);
  return new Command('anchors')
    .description('trust anchors for a boot chain, from the keys that the policy lets sign its firmware')
    .requiredOption('--product <name>', 'as the policy has it')
    .requiredOption('--environment <name>', 'production or development: a device trusts one of them')
    .addOption(
      new Option('--format <name>', 'what is written').choices(Object.keys(ANCHOR_FORMATS)).makeOptionMandatory(),
    )
    .requiredOption(
      '--certificate <id=file>',
      'the certificate of a key, PEM, by its id in the policy; once for each key',
      certificate,
      new Map(),
    )
    .option('--data <dir>', 'data directory, of which the policy in force counts', './keystead-data')
    .option('--policy <file>', 'this policy instead')
    .option('--out <file>', 'in place of standard output')
    .addHelpText(
      'after',
      `
Formats:
${formats.join('\n')}

The same policy and certificates give the same bytes. A key of the policy without a certificate is an error, and so is
a certificate of another algorithm. Whether it is of keyd's key is not checked: verify it under the signing root first.

Example:
  $ keystead sign anchors --product pump-7 --environment production --format mcuboot \\
      --certificate pump-7-boot=pump-7-boot.pem --out keys.c`,
    )
    .action((flags: Flags) => {
      const set = anchorSet(policyKeys(flags), flags.certificate, flags);
      const text = ANCHOR_FORMATS[flags.format].write(set);
      if (flags.out === undefined) process.stdout.write(text);
      else durableWrite(flags.out, text, 0o644);
    });
}

/** @throws KeysteadError `policy.malformed` for a policy without signing keys. */
function policyKeys({ data, policy }: Flags): readonly ScopedKey[] {
  const bytes = policy === undefined ? policyInPlace(new Layout(data)).file.bytes : readOrRefuse(policy);
  const field = policy ?? 'firmware';
  try {
    return FirmwareKeys.parse(JSON.parse(Buffer.from(bytes).toString('utf8'))).firmware.keys;
  } catch (cause) {
    throw new KeysteadError('policy.malformed', { field, seen: 'no section firmware with keys', cause });
  }
}

function certificate(value: string, all: Map<string, DerCertificate>): Map<string, DerCertificate> {
  const at = value.indexOf('=');
  const [id, path] = [value.slice(0, at), value.slice(at + 1)];
  if (at < 1 || path === '') throw new InvalidArgumentError('it is like pump-7-boot=pump-7-boot.pem');
  if (all.has(id)) throw new InvalidArgumentError(`${id} has one already`);
  return new Map(all).set(id, read(path));
}

function read(path: string): DerCertificate {
  let text = '';
  try {
    text = readFileSync(path, 'latin1');
  } catch {
    throw new InvalidArgumentError(`${path} cannot be read`);
  }
  // The key's own certificate comes first; those of its CAs may follow.
  const [der] = fromPem('CERTIFICATE', text);
  if (der === undefined) throw new InvalidArgumentError(`${path} has no certificate`);
  return der as DerCertificate;
}
