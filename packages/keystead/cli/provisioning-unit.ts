import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fromBase64 } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import type { Command } from 'commander';
import type { UnitView } from '../protocols/rest/domain.ts';
import {
  answerByTools,
  type ChallengeJson,
  challengeForTools,
  readAnswer,
  readShown,
  shownByTools,
} from './attestation-files.ts';
import { asOperator, type OperatorOptions, operatorOptions } from './operator.ts';
import { type WayFlags, wayBody, wayCommands, wayOptions } from './provisioning-ways.ts';

interface UnitFlags extends OperatorOptions, WayFlags {
  ticketId: string;
  line: string;
  tpm2Tools?: string;
}

/** `keystead provisioning challenge` and `unit`: the station's side of a unit, with or without a TPM. REQ-KEY-GEN-03 */
export function unitCommands(provisioning: Command): void {
  common(provisioning.command('challenge <device>'))
    .description("show keyd the device's TPM, and print its challenge, JSON")
    .option('--shown <file>', 'what `keystead tpm identity show` printed; standard input unless told', '-')
    .option(
      '--tpm2-tools <dir>',
      'take ek.crt, ek.pub, ak.pub, key.pub, certify.attest and certify.sig from there, and leave credential.blob',
    )
    .addHelpText(
      'after',
      '\nExample:\n  $ keystead provisioning challenge KS-0001 --ticket-id b1 --line line-1 < shown.json > challenge.json',
    )
    .action(challenge);

  wayOptions(common(provisioning.command('unit <device>')))
    .description('give the device its IDevID, and write certificate, chain, record and signature into a directory')
    .requiredOption('--out <dir>', 'the directory to write into; it is made')
    .option('--answer <file>', 'what `keystead tpm identity answer` printed; - for standard input')
    .option('--tpm2-tools <dir>', 'take challenge.json, secret and csr.der from there')
    .option('--csr <file>', 'a request alone, PEM: the record says then that possession was proven, and no more')
    .addHelpText(
      'after',
      '\nExample:\n  $ keystead provisioning unit KS-0001 --ticket-id b1 --line line-1 --answer answer.json --out ./KS-0001',
    )
    .action(unit);
  wayCommands(provisioning);
}

const common = (command: Command): Command =>
  operatorOptions(
    command
      .requiredOption('--ticket-id <id>', 'the batch that the unit is of')
      .requiredOption('--line <line>', 'the line that it stands at'),
    'line-1',
  );

async function challenge(device: string, flags: UnitFlags & { shown: string }): Promise<void> {
  const { tpm2Tools, ticketId, line } = flags;
  const shown = tpm2Tools === undefined ? readShown(flags.shown) : shownByTools(tpm2Tools);
  const body = { ticketId, deviceId: device, line, ...shown };
  const made = await asOperator(flags, (client) => client.post<ChallengeJson>('/api/v1/attestations', body));
  if (tpm2Tools === undefined) process.stdout.write(`${JSON.stringify(made, null, 2)}\n`);
  else process.stdout.write(`${challengeForTools(tpm2Tools, made)}\n`);
}

async function unit(device: string, flags: UnitFlags & { out: string; answer?: string; csr?: string }): Promise<void> {
  const { ticketId, line } = flags;
  const body = { ticketId, deviceId: device, line, ...requestOf(flags) };
  const done = await asOperator(flags, (client) => client.post<UnitView>('/api/v1/units', body));
  mkdirSync(flags.out, { recursive: true });
  const write = (name: string, content: string | Uint8Array): string => {
    writeFileSync(join(flags.out, name), content);
    return join(flags.out, name);
  };
  const certificate = write(`${device}.pem`, done.certificate);
  write('chain.pem', done.chain);
  const record = write(`${device}.yaml`, done.record);
  write(`${device}.yaml.sig`, fromBase64(done.signature));
  const envelope = done.envelope === undefined ? undefined : write(`${device}.key.cms`, fromBase64(done.envelope));
  const report = { device, serial: done.serial, certificate, record, ...(envelope === undefined ? {} : { envelope }) };
  const files = [certificate, record, ...(envelope === undefined ? [] : [envelope])];
  process.stdout.write(flags.json === true ? `${JSON.stringify(report)}\n` : `${files.join('\n')}\n`);
}

/** One way to name the request: with an answer to a challenge, by another way, or alone. */
function requestOf(flags: WayFlags & { answer?: string; tpm2Tools?: string }): Record<string, unknown> {
  const way = wayBody(flags);
  if (way !== undefined && flags.answer === undefined && flags.tpm2Tools === undefined) return way;
  const given = [flags.answer, flags.csr, flags.tpm2Tools].filter((one) => one !== undefined).length;
  if (given !== 1) {
    throw new KeysteadError('request.malformed', {
      field: 'options',
      seen: `${given} of --answer, --tpm2-tools, --csr`,
      remedy: 'give one of them',
    });
  }
  if (flags.csr !== undefined) return { csr: readFileSync(flags.csr, 'utf8') };
  const { csr, ...attestation } =
    flags.tpm2Tools === undefined ? readAnswer(flags.answer ?? '-') : answerByTools(flags.tpm2Tools);
  return { csr, attestation };
}
