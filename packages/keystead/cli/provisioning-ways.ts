import { readFileSync, writeFileSync } from 'node:fs';
import { fromBase64, toBase64 } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import type { Command } from 'commander';
import type { ChipChallengeView, DerivedKeyView } from '../protocols/rest/unit-ways.ts';
import { asOperator, type OperatorOptions, operatorOptions } from './operator.ts';

/** How a unit comes to its key, where that is not by a TPM: options of `keystead provisioning unit`. */
export interface WayFlags {
  readonly csr?: string;
  readonly chip?: string;
  readonly challenge?: string;
  readonly statement?: string;
  readonly inject?: string;
  readonly algorithm?: string;
}

export const wayOptions = (command: Command): Command =>
  command
    .option('--chip <file>', "the chip's certificate and CAs of its maker, PEM: with --csr, or with --inject")
    .option('--challenge <file>', 'what `keystead provisioning chip` printed, with --statement')
    .option('--statement <file>', "the chip's signature over the statement, as openssl writes it")
    .option('--inject <file>', "have keyd make the key, wrapped to this public key of the unit's own, PEM")
    .option('--algorithm <name>', 'of the key that keyd makes: P-256, P-384 or Ed25519', 'P-256');

/** The body's `csr` and `way`; undefined where the flags name no way of these. @throws KeysteadError `request.malformed`. */
export function wayBody(flags: WayFlags): { csr?: string; way: Record<string, unknown> } | undefined {
  const { chip, inject, csr } = flags;
  const chain = chip === undefined ? {} : { chain: readFileSync(chip, 'utf8') };
  if (inject !== undefined) {
    if (csr !== undefined) throw misused('--csr with --inject');
    const { algorithm } = flags;
    return { way: { kind: 'injected', recipient: readFileSync(inject, 'utf8'), algorithm, ...chain } };
  }
  if (chip === undefined) return undefined;
  if (csr === undefined) throw misused('--chip without --csr');
  return { csr: readFileSync(csr, 'utf8'), way: { kind: 'secure-element', ...chain, ...statementOf(flags) } };
}

function statementOf({ challenge, statement }: WayFlags): { statement?: Record<string, string> } {
  if (challenge === undefined && statement === undefined) return {};
  if (challenge === undefined || statement === undefined) throw misused('one of --challenge, --statement');
  const { challengeId }: ChipChallengeView = JSON.parse(readFileSync(challenge, 'utf8'));
  return { statement: { challengeId, signature: toBase64(readFileSync(statement)) } };
}

const misused = (seen: string): KeysteadError => new KeysteadError('request.malformed', { field: 'options', seen });

interface ChipFlags extends OperatorOptions {
  readonly ticketId: string;
  readonly line: string;
  readonly chip: string;
}

interface DeriveFlags extends OperatorOptions {
  readonly purpose: string;
  readonly certificate: string;
  readonly recipient: string;
  readonly proof: string;
  readonly out: string;
}

/** `keystead provisioning chip` and `derive`: the station's side of a secure element, and of derived keys. REQ-KEY-GEN-03 */
export function wayCommands(provisioning: Command): void {
  operatorOptions(
    provisioning
      .command('chip <device>')
      .description("show keyd the device's secure element, and print a challenge for it, JSON")
      .requiredOption('--ticket-id <id>', 'the batch that the unit is of')
      .requiredOption('--line <line>', 'the line that it stands at')
      .requiredOption('--chip <file>', "the chip's certificate first, then CAs of its maker, PEM"),
    'line-1',
  )
    .addHelpText(
      'after',
      '\nExample:\n  $ keystead provisioning chip KS-0001 --ticket-id b1 --line line-1 --chip chip.pem > challenge.json',
    )
    .action(async (device: string, flags: ChipFlags) => {
      const { ticketId, line, chip } = flags;
      const body = { ticketId, line, deviceId: device, chain: readFileSync(chip, 'utf8') };
      const made = await asOperator(flags, (client) => client.post<ChipChallengeView>('/api/v1/chips', body));
      process.stdout.write(`${JSON.stringify(made, null, 2)}\n`);
    });
  operatorOptions(
    provisioning
      .command('derive <device>')
      .description("get the device's symmetric key for a purpose, wrapped to a key that the device signed")
      .requiredOption('--purpose <name>', 'one that the policy names in unitKeys.diversified')
      .requiredOption('--certificate <file>', "the device's certificate, PEM")
      .requiredOption('--recipient <file>', 'the public key that it is wrapped to, PEM')
      .requiredOption('--proof <file>', "the device's signature over the request, as openssl writes it")
      .requiredOption('--out <file>', 'where the package goes: CMS, DER'),
    'line-1',
  )
    .addHelpText(
      'after',
      '\nExample:\n  $ keystead provisioning derive KS-0001 --purpose telemetry --certificate KS-0001.pem --recipient ephemeral.pub --proof proof.sig --out telemetry.cms',
    )
    .action(async (device: string, flags: DeriveFlags) => {
      const body = {
        deviceId: device,
        purpose: flags.purpose,
        certificate: readFileSync(flags.certificate, 'utf8'),
        recipient: readFileSync(flags.recipient, 'utf8'),
        proof: toBase64(readFileSync(flags.proof)),
      };
      const made = await asOperator(flags, (client) => client.post<DerivedKeyView>('/api/v1/unit-keys', body));
      writeFileSync(flags.out, fromBase64(made.envelope));
      const { version, kcv } = made;
      const report = { device, purpose: flags.purpose, version, kcv, package: flags.out };
      process.stdout.write(
        flags.json === true ? `${JSON.stringify(report)}\n` : `${flags.purpose}.${version} kcv ${kcv}\n${flags.out}\n`,
      );
    });
}
