import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type DerCertificate, fromPem } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import type { StandingJson } from '@keystead/core/trust';
import { readCertificate } from '@keystead/core/x509';
import { Argument, Command } from 'commander';
import { systemClock } from '../clock/system.ts';
import { durableWrite } from '../files/durable.ts';
import { Layout } from '../files/layout.ts';
import type { TlsKeyView } from '../protocols/rest/tls-key.ts';
import { EXIT } from './exit.ts';
import { asOperator, type OperatorOptions, operatorOptions, table } from './operator.ts';
import { readText } from './quorum-files.ts';

type Pins = StandingJson['pins'][number];

/** `keystead tls-key`: the TLS keys of serve itself, which devices may pin. REQ-KEY-ROT-03 */
export function tlsKeyCommand(): Command {
  const command = new Command('tls-key').description(
    'the TLS keys of this server, which outlive its restarts: show, pin, prepare the next, use it',
  );
  for (const one of [showCommand(), pinsCommand(), prepareCommand(), useCommand()]) command.addCommand(one);
  return command;
}

const look = (options: OperatorOptions): Promise<TlsKeyView> =>
  asOperator(options, (client) => client.get<TlsKeyView>('/api/v1/tls-key'));

function print(options: OperatorOptions, view: TlsKeyView): void {
  process.stdout.write(options.json === true ? `${JSON.stringify(view, null, 2)}\n` : `${page(view)}\n`);
  if (view.problem !== null) process.exitCode = EXIT.notProven;
}

function page({ shown, problem, keys }: TlsKeyView): string {
  const rows = keys.map((key) => [
    ...[key.use, key.spkiSha256, key.state],
    key.usedUntil === null ? `made ${key.madeAt ?? 'at an unknown time'}` : `to be replaced by ${key.usedUntil}`,
  ]);
  const certificate =
    shown === null
      ? 'none'
      : `${shown.certificate.serial}, ${shown.certificate.notBefore} to ${shown.certificate.notAfter}`;
  const lines = [table([['use', 'SHA-256 of the public key', 'state', ''], ...rows]), `certificate  ${certificate}`];
  if (problem === null) return lines.join('\n');
  const { code, message, remedy } = problem;
  return [
    ...lines,
    `NOT SHOWN    ${code}: ${message}`,
    ...(remedy === undefined ? [] : [`what to do   ${remedy}`]),
    `shown        ${shown?.spkiSha256 ?? 'nothing'}: in memory only, which no device pins`,
  ].join('\n');
}

function showCommand(): Command {
  return operatorOptions(new Command('show'), 'pki')
    .description('the keys by their use, the certificate, and why a kept key is not shown (exit code 1)')
    .addHelpText('after', '\nExample:\n  $ keystead tls-key show --json')
    .action(async (options: OperatorOptions) => print(options, await look(options)));
}

interface PinsOptions extends OperatorOptions {
  into?: string;
}

function pinsCommand(): Command {
  return operatorOptions(new Command('pins').argument('<name>', 'under which devices pin this server'), 'pki')
    .description(
      'the pins of these keys as a trust bundle has them; the name goes into "server": {"pin"} of agent.json',
    )
    .option('--into <file>', 'the content of a bundle, as keystead trust show wrote it: the pins are put into it')
    .addHelpText('after', '\nExample:\n  $ keystead tls-key pins serve --into content.json')
    .action(async (role: string, options: PinsOptions) => {
      const view = await look(options);
      const content = options.into === undefined ? undefined : contentIn(options.into);
      const pins = pinsOf(view, role, rootEnd(options.data), content?.pins);
      if (content !== undefined && options.into !== undefined) {
        const others = content.pins.filter((one) => one.role !== role);
        durableWrite(options.into, `${JSON.stringify({ ...content, pins: [...others, pins] }, null, 2)}\n`, 0o644);
      }
      const { keys } = pins;
      const text = table([['use', 'SHA-256 of the public key'], ...keys.map((key) => [key.use, key.spkiSha256])]);
      if (options.json === true || content === undefined) process.stdout.write(`${JSON.stringify(pins, null, 2)}\n`);
      else process.stdout.write(`${text}\nagent.json   "server": {..., "pin": "${role}"}\n`);
    });
}

/** What stands there of a key already keeps its window. */
function pinsOf(view: TlsKeyView, role: string, until: number, standing: readonly Pins[] = []): Pins {
  const [current] = view.keys.filter(({ use }) => use === 'current');
  if (current === undefined || view.problem !== null)
    throw new KeysteadError('tls-key.unknown', {
      field: 'current',
      seen: String(view.problem?.code ?? 'none is kept'),
    });
  const from = Math.floor(systemClock.now().getTime() / 1000);
  const before = standing.find((one) => one.role === role)?.keys ?? [];
  const keys = view.keys.map(({ use, spkiSha256 }) => {
    const known = before.find((pin) => pin.spkiSha256 === spkiSha256);
    return { spkiSha256, use, from: known?.from ?? from, until: known?.until ?? until };
  });
  return { role, keys };
}

function contentIn(path: string): StandingJson {
  const content = JSON.parse(readText(path)) as StandingJson;
  if (Array.isArray(content.pins)) return content;
  throw new KeysteadError('trust-bundle.malformed', { field: 'pins', seen: path });
}

function rootEnd(data: string): number {
  const [root] = fromPem('CERTIFICATE', readFileSync(join(new Layout(data).trust, 'root.pem'), 'utf8'));
  return Math.floor(readCertificate(root as DerCertificate).notAfter.getTime() / 1000);
}

function prepareCommand(): Command {
  return operatorOptions(new Command('prepare'), 'pki')
    .addArgument(new Argument('<use>', 'what the new key is to be').choices(['next', 'backup']))
    .description('makes a key that is shown to nobody yet; pin it before you use it')
    .option('--replace', 'destroy the one that there is')
    .addHelpText('after', '\nExample:\n  $ keystead tls-key prepare next')
    .action(async (use: string, options: OperatorOptions & { replace?: boolean }) => {
      const body = { use, replace: options.replace === true };
      print(options, await asOperator(options, (client) => client.post('/api/v1/tls-key/prepared', body)));
    });
}

function useCommand(): Command {
  return operatorOptions(new Command('use').argument('<key>', 'next, backup, or the SHA-256 of the public key'), 'pki')
    .description('puts a prepared key in the place of the current one, which is destroyed')
    .addHelpText(
      'after',
      '\nWhere the newest trust bundle pins the current key, a campaign must have switched to the other one (keystead rotate).\nExample:\n  $ keystead tls-key use next',
    )
    .action(async (key: string, options: OperatorOptions) => {
      const view = await asOperator(options, async (client) => {
        const { keys } = await client.get<TlsKeyView>('/api/v1/tls-key');
        const named = keys.find(({ use }) => use === key && use !== 'current')?.spkiSha256 ?? key;
        return client.post<TlsKeyView>('/api/v1/tls-key/use', { key: named });
      });
      print(options, view);
    });
}
