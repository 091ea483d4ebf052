import { existsSync, readFileSync } from 'node:fs';
import { type DerCertificate, fromPem, toHex } from '@keystead/core/bytes';
import { sha256 as sha256Of } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import {
  ANCHOR_FORMATS,
  type AnchorFormatName,
  anchorSet,
  FIRMWARE_FORMATS,
  type HeldKey,
  requireHeld,
  type ScopedKey,
} from '@keystead/core/firmware';
import { FIRMWARE_SIGNATURES } from '@keystead/core/lifecycle';
import { Command, InvalidArgumentError, Option } from 'commander';
import { z } from 'zod';
import { durableWrite } from '../files/durable.ts';
import { firmwareKeysPath, readFirmwareKeys } from '../files/firmware-keys-file.ts';
import { Layout } from '../files/layout.ts';
import { firmwareFile } from '../keyd/hierarchy.ts';
import { policyInPlace, readOrRefuse } from '../policy/index.ts';

/** Of a policy, the keys that sign firmware: all of the section that a device's trust comes from. */
const FirmwareKeys = z.object({
  firmware: z.object({
    /** Without products every key of a scope is one that signs: a file of keys alone. */
    products: z
      .array(
        z.object({
          product: z.string().max(64),
          environments: z.record(
            z.string(),
            z.object({ keys: z.array(z.string()), trusted: z.array(z.string()).optional() }),
          ),
        }),
      )
      .optional(),
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
  keydKeys?: string;
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
    .option(
      '--certificate <id=file>',
      'the certificate of a key, PEM, by its id in the policy; of a production key without it that of the data directory',
      certificate,
      new Map(),
    )
    .option('--data <dir>', 'data directory, of which the policy in force counts', './keystead-data')
    .option('--policy <file>', 'this policy instead')
    .option(
      '--keyd-keys <file>',
      'what keyd tells of its keys; without --policy keyd/firmware-keys.json of the directory',
    )
    .option('--out <file>', 'in place of standard output')
    .addHelpText(
      'after',
      `
Formats:
${formats.join('\n')}

The same policy and certificates give the same bytes. A key of the policy without a certificate is an error, and so is
a certificate of another algorithm. By the policy in force every key is held against what keyd tells of its own in
keyd/firmware-keys.json; with --policy that file must be named, or the anchors say that nothing was compared.
A key that the policy has as trusted is told as such; one that no line names is retired and left out.

Example:
  $ keystead sign anchors --product pump-7 --environment production --format mcuboot \\
      --certificate pump-7-boot=pump-7-boot.pem --out keys.c`,
    )
    .action((flags: Flags) => {
      const { keys, sha256 } = policyKeys(flags);
      const held = heldKeys(flags, sha256);
      const source = { policySha256: sha256, held: held !== undefined };
      const { product, environment } = flags;
      const set = anchorSet(keys, withPublished(keys, flags), { product, environment, source });
      if (held !== undefined) requireHeld(set, held);
      else process.stderr.write("not held against keyd's keys: name what keyd tells of them with --keyd-keys\n");
      const text = ANCHOR_FORMATS[flags.format].write(set);
      if (flags.out === undefined) process.stdout.write(text);
      else durableWrite(flags.out, text, 0o644);
    });
}

/**
 * The keys of keyd, which goes by the same policy; undefined where only a policy is given.
 * @throws KeysteadError `firmware.anchor-drift`, `config.missing`, `config.malformed`.
 */
function heldKeys({ data, policy, keydKeys }: Flags, sha256: string): readonly HeldKey[] | undefined {
  if (policy !== undefined && keydKeys === undefined) return undefined;
  const path = keydKeys ?? firmwareKeysPath(new Layout(data).keyd);
  const { policySha256, keys } = readFirmwareKeys(path);
  if (policySha256 === sha256) return keys;
  const seen = `${sha256}, where keyd goes by ${policySha256}`;
  throw new KeysteadError('firmware.anchor-drift', { field: 'policy', seen });
}

/** Of a key of production whose certificate is not given, the one of the ceremony, where the data directory has it. */
function withPublished(
  keys: readonly ScopedKey[],
  { data, policy, certificate: given, product, environment }: Flags,
): Map<string, DerCertificate> {
  const all = new Map(given);
  for (const { id, use, ...key } of policy === undefined ? keys : []) {
    const path = firmwareFile(new Layout(data), id);
    const wanted = key.product === product && key.environment === environment && use !== 'retired' && !all.has(id);
    if (wanted && existsSync(path)) all.set(id, read(path));
  }
  return all;
}

/** @throws KeysteadError `policy.malformed` for a policy without signing keys. */
function policyKeys({ data, policy }: Flags): { readonly keys: readonly ScopedKey[]; readonly sha256: string } {
  const bytes = policy === undefined ? policyInPlace(new Layout(data)).file.bytes : readOrRefuse(policy);
  const field = policy ?? 'firmware';
  try {
    const { keys, products } = FirmwareKeys.parse(JSON.parse(Buffer.from(bytes).toString('utf8'))).firmware;
    const used = keys.map((key): ScopedKey => {
      const line = products?.find((one) => one.product === key.product)?.environments[key.environment];
      const trusted = line?.trusted?.includes(key.id) === true ? 'trusted' : 'retired';
      return { ...key, use: products === undefined || line?.keys.includes(key.id) === true ? 'signs' : trusted };
    });
    return { keys: used, sha256: toHex(sha256Of(bytes)) };
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
