import { existsSync, readFileSync } from 'node:fs';
import { toHex } from '@keystead/core/bytes';
import { randomBytes } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import {
  CA_REVOCATION_REASONS,
  type CaRevocationReason,
  type CaRevocationStatement,
  isIssuerId,
  issuerKeyId,
  operatorOf,
  type Policy,
  parseCaRevocation,
  parsePolicy,
  permits,
  type Role,
  signCaRevocation,
} from '@keystead/core/lifecycle';
import { Command, InvalidArgumentError, Option } from 'commander';
import { systemClock } from '../clock/system.ts';
import { durableWrite } from '../files/durable.ts';
import type { KeyView } from '../inventory/index.ts';
import { asOperator, asSigningOperator, type OperatorOptions, operatorOptions } from './operator.ts';
import { elsewhereOptions, type SignWithOptions } from './statement-signer.ts';

/** How long a statement holds unless the command says otherwise. */
const HOLDS_SECONDS = 86_400;
const MOST_STATEMENTS = 17;

interface FileOptions extends OperatorOptions {
  in: string;
}

/** `keystead revoke-ca`: the revocation of a CA between ceremonies, by several people. REQ-KEY-REV-01 */
export function revokeCaCommand(): Command {
  const command = new Command('revoke-ca').description(
    'revoke a CA now, without opening the safe: one asks, others approve, keyd counts; nothing takes it back',
  );
  command.addCommand(proposeCommand());
  command.addCommand(approveCommand());
  command.addCommand(sendCommand());
  return command;
}

function proposeCommand(): Command {
  const command = new Command('propose').argument('<ca>', 'for example operational, or operational.2');
  return elsewhereOptions(operatorOptions(command, 'pki'))
    .description('ask for it: begins the file that others add their approvals to')
    .addOption(new Option('--reason <reason>', 'why').choices(CA_REVOCATION_REASONS).makeOptionMandatory())
    .option('--invalid-since <time>', 'since when the key may be in other hands, UTC, for example 2026-11-01T00:00:00Z')
    .requiredOption('--out <file>', 'where the statements go, one a line')
    .addHelpText(
      'after',
      '\nExample:\n  $ keystead revoke-ca propose operational --reason cACompromise --out revoke.statements',
    )
    .action(
      async (
        ca: string,
        options: OperatorOptions & SignWithOptions & { reason: CaRevocationReason; invalidSince?: string; out: string },
      ) => {
        if (!isIssuerId(ca)) throw new InvalidArgumentError('a CA of keyd, such as operational or operational.2');
        if (existsSync(options.out)) throw new KeysteadError('approval.proposal-exists', { field: options.out });
        const text = await asSigningOperator(options, async (client, signer) => {
          const key = await client.get<KeyView>(`/api/v1/keys/${issuerKeyId(ca)}`);
          const { file } = await client.get<{ file: string }>('/api/v1/policy');
          const order = {
            id: `ca-${toHex(randomBytes(8))}`,
            ca,
            spkiSha256: key.spkiSha256 ?? '',
            reason: options.reason,
            ...(options.invalidSince === undefined ? {} : { invalidityDate: wholeSeconds(options.invalidSince) }),
          };
          const role = roleOf(parsePolicy(Buffer.from(file)), options.as, (held) =>
            permits([held], 'revocation.propose'),
          );
          return signCaRevocation(
            { act: 'propose', order, proposer: options.as, role, ...timesNow() },
            options.as,
            signer(),
          );
        });
        durableWrite(options.out, `${text}\n`, 0o644);
        process.stdout.write(`${describe(text)}\n${options.out}: approved by others with keystead revoke-ca approve\n`);
      },
    );
}

function approveCommand(): Command {
  return elsewhereOptions(operatorOptions(new Command('approve'), 'architect'))
    .description("add this operator's approval to the file; look at what it says first")
    .requiredOption('--in <file>', 'the statements')
    .action(async (options: FileOptions & SignWithOptions) => {
      const statements = readStatements(options.in);
      const { content } = parseCaRevocation(statements[0] ?? '');
      process.stdout.write(`${describe(statements[0] ?? '')}\n`);
      const text = await asSigningOperator(options, async (client, signer) => {
        const { file } = await client.get<{ file: string }>('/api/v1/policy');
        const policy = parsePolicy(Buffer.from(file));
        const role = roleOf(policy, options.as, (held) => policy.quorums['ca-revocation'].roles.includes(held));
        const { order, proposer } = content;
        return signCaRevocation({ act: 'approve', order, proposer, role, ...timesNow() }, options.as, signer());
      });
      durableWrite(options.in, `${[...statements, text].join('\n')}\n`, 0o644);
      process.stdout.write(`${options.in}: ${statements.length + 1} statements\n`);
    });
}

function sendCommand(): Command {
  return operatorOptions(new Command('send'), 'pki')
    .description('have keyd carry it out: from then on the CA issues nothing, and the list of the root names it')
    .requiredOption('--in <file>', 'the statements')
    .action(async (options: FileOptions) => {
      const statements = readStatements(options.in);
      const done = await asOperator(options, (client) =>
        client.post<{ ca: string; at: string; crl?: number }>('/api/v1/ca-revocations', { statements }),
      );
      if (options.json === true) process.stdout.write(`${JSON.stringify(done)}\n`);
      else {
        const crl = done.crl === undefined ? 'its CRL is late: see serve.log' : `CRL ${done.crl} of the root names it`;
        process.stdout.write(`${done.ca} is revoked since ${done.at}; ${crl}\n`);
      }
    });
}

function describe(text: string): string {
  const { content } = parseCaRevocation(text);
  const { ca, spkiSha256, reason, invalidityDate, id } = content.order;
  const since = invalidityDate === undefined ? '' : `, invalid since ${invalidityDate}`;
  return `order ${id}: REVOKE the CA ${ca}, key ${spkiSha256}, reason ${reason}${since}; asked for by ${content.proposer}`;
}

function readStatements(path: string): string[] {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    throw new KeysteadError('approval.proposal-missing', { field: path, cause });
  }
  return text
    .split('\n')
    .filter((line) => line !== '')
    .slice(0, MOST_STATEMENTS);
}

/** The role by which an operator of the policy may sign. keyd says so if there is none. */
function roleOf(policy: Policy, name: string, may: (role: Role) => boolean): Role {
  const held = operatorOf(policy, name)?.roles ?? [];
  const role = held.find(may) ?? held[0];
  if (role === undefined) throw new KeysteadError('operator.unknown', { field: '--as', seen: name });
  return role;
}

function timesNow(): Pick<CaRevocationStatement, 'signedAt' | 'expiresAt'> {
  const now = systemClock.now();
  return {
    signedAt: wholeSeconds(now),
    expiresAt: wholeSeconds(new Date(now.getTime() + HOLDS_SECONDS * 1000)),
  };
}

function wholeSeconds(at: Date | string): string {
  const time = new Date(at);
  if (Number.isNaN(time.getTime())) throw new InvalidArgumentError('a time such as 2026-11-01T00:00:00Z');
  return `${time.toISOString().slice(0, 19)}Z`;
}
