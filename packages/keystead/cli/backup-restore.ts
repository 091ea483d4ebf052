import { mkdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { resolve } from 'node:path';
import { KeysteadError } from '@keystead/core/errors';
import { type RestoreOrder, ROLES, type Role } from '@keystead/core/lifecycle';
import { Command, InvalidArgumentError, Option } from 'commander';
import {
  drillBackup,
  fingerprintOf,
  openBackup,
  type RestoreQuorum,
  restoreBackup,
  type ShareSession,
  writeRequest,
} from '../backup/index.ts';
import { systemClock } from '../clock/system.ts';
import { trustOf } from './backup-trust.ts';
import { asOperator, type OperatorOptions, operatorOptions } from './operator.ts';
import { progressOf } from './progress.ts';
import { collectResponses, statementsIn } from './responses.ts';

interface SessionFlags {
  shares: string;
  orderOut?: string;
  role: Role;
  wait: number;
  root: string;
  json?: boolean;
}

interface RestoreFlags extends SessionFlags {
  as: string;
  to: string;
  log?: string;
  seen: string[];
  crl: string[];
  acceptLoss?: boolean;
  masterOut?: string;
}

type DrillFlags = SessionFlags & OperatorOptions & { scratch: string; record: boolean };

const collect = (value: string, all: string[]): string[] => [...all, value];

/** `restore` and `drill`: what takes a quorum of custodians. */
export function restoreCommands(): Command[] {
  return [restore(), drill()];
}

function sessionOptions(command: Command): Command {
  return command
    .requiredOption('--shares <dir>', "a directory into which the custodians' responses are put; it is watched")
    .option('--wait <seconds>', 'how long to wait for enough of them', seconds, 3600)
    .option('--order-out <file>', 'where the order goes that people sign; beside --shares unless told')
    .addOption(new Option('--role <role>', 'the role by which you ask').choices(ROLES).default('ca-operator'))
    .option('--root <file>', 'the root to trust', './keystead-data/trust/root.pem');
}

function restore(): Command {
  return sessionOptions(new Command('restore'))
    .argument('<file>', 'the backup')
    .description('restore into an empty directory, with a quorum of custodians')
    .requiredOption('--to <dir>', 'the data directory to make')
    .option('--as <operator>', 'who restores, and asks that keyd opens', 'pki')
    .option('--log <dir>', "the newest copy of the log's published files: the log is continued from it")
    .option('--seen <file>', 'the newest checkpoint that somebody kept (may be given again)', collect, [])
    .option(
      '--crl <file>',
      'a CRL from the field, the newest of its CA (may be given again): its revocations stay',
      collect,
      [],
    )
    .option('--accept-loss', 'accept that entries after the backup are lost; it stands in the log for ever')
    .option(
      '--master-out <file>',
      "write the passphrase of keyd's keystore into this file (0600); else it stays sealed",
    )
    .option('--json', 'machine-readable output, one JSON document a line')
    .addHelpText(
      'after',
      `
The command shows a recipient with its fingerprint. Each custodian compares the fingerprint with you by voice, runs
'keystead backup open-share', and the response goes into --shares. Nothing is in --to until everything is verified.
The order that it writes is signed by you and by the quorum of the policy in the backup, with 'keystead backup
sign-restore'; statements that lie in --shares are taken along, and later ones are brought with 'keystead backup admit'.

Example:
  $ keystead backup restore b.ksb --to /srv/keystead --shares ./responses --log ./mirror/log --root root.pem`,
    )
    .action(async (file: string, flags: RestoreFlags) => {
      const backup = await openBackup(file, trustOf(flags.root));
      const progress = progressOf('restore', flags.json);
      const { custodians, logEntries, quorum } = await restoreBackup({
        backup,
        to: flags.to,
        onOrder: orderWriter(flags, flags.as),
        statements: () => statementsIn(flags.shares),
        newest: {
          log: flags.log,
          seen: flags.seen.map((path) => readFileSync(path, 'utf8')),
          acceptLoss: flags.acceptLoss === true,
        },
        crls: flags.crl,
        masterOut: flags.masterOut,
        collect: collectorOf(flags),
        clock: systemClock,
        onProgress: (bytes) => progress.at(bytes),
      }).finally(() => progress.end());
      const told = quorumOf(quorum);
      print(flags.json, { restored: flags.to, backupId: backup.manifest.backupId, custodians, logEntries, ...told }, [
        `${flags.to}: restored by ${custodians.join(', ')}; the log has ${logEntries} entries`,
        '  the keys are not in a backup: put keystore.sealed into its keyd/ from where it is kept, then start',
        '  tickets of before are closed: sign new ones for what is left of each batch',
        ...quorumLines(quorum, flags),
      ]);
    });
}

function drill(): Command {
  return sessionOptions(operatorOptions(new Command('drill').argument('<file>', 'the backup'), 'pki'))
    .description('restore into a scratch directory with a quorum, prove all of it, remove it, and put it on record')
    .option('--scratch <dir>', 'where the copy is made and removed; best in memory', tmpdir())
    .option('--no-record', 'do not tell the audit log')
    .addHelpText('after', '\nExample:\n  $ keystead backup drill b.ksb --shares ./responses --scratch /dev/shm')
    .action(async (file: string, flags: DrillFlags) => {
      const backup = await openBackup(file, trustOf(flags.root));
      const progress = progressOf('drill', flags.json);
      const present: string[] = [];
      const record = async (how: {
        outcome: 'done' | 'refused';
        code?: string;
        members: number;
        logEntries: number;
      }) => {
        if (!flags.record) return undefined;
        const report = { manifestSha256: backup.manifestSha256, custodians: present, ...how };
        const path = `/api/v1/backups/${backup.manifest.backupId}/drills`;
        return asOperator(flags, (client) => client.post<{ auditSeq: number }>(path, report));
      };
      try {
        const { custodians, members, logEntries, signers } = await drillBackup({
          backup,
          scratch: flags.scratch,
          onOrder: orderWriter(flags, flags.as),
          statements: () => statementsIn(flags.shares),
          collect: async (session) => {
            await collectorOf(flags)(session).finally(() => present.push(...session.custodians));
          },
          clock: systemClock,
          onProgress: (bytes) => progress.at(bytes),
        }).finally(() => progress.end());
        const recorded = await record({ outcome: 'done', members, logEntries });
        print(
          flags.json,
          { drilled: backup.manifest.backupId, custodians, members, logEntries, signers, ...recorded },
          [
            `backup ${backup.manifest.backupId}: restored by ${custodians.join(', ')}, ${members} files bit for bit, ${logEntries} entries of the log proven, the copy removed`,
            signers.length === 0
              ? '  nobody signed the order: keyd would stay closed after such a restore until people do'
              : `  the order was signed by ${signers.join(', ')}: keyd would open`,
            recorded === undefined ? '  not recorded' : `  entry ${recorded.auditSeq} of the audit log`,
          ],
        );
      } catch (error) {
        const code = error instanceof KeysteadError ? error.code : 'internal.unexpected';
        if (code.startsWith('backup.')) await record({ outcome: 'refused', code, members: 0, logEntries: 0 });
        throw error;
      }
    });
}

const orderPath = ({ orderOut, shares }: SessionFlags): string => orderOut ?? `${resolve(shares)}.order.json`;

/** Writes the order that people sign, while custodians are still being called. */
function orderWriter(flags: SessionFlags, proposer: string): (order: RestoreOrder) => void {
  return (order) => {
    const path = orderPath(flags);
    writeRequest(path, { order, proposer, role: flags.role });
    if (flags.json === true) return;
    process.stdout.write(
      `the order to sign is in ${path}:\n  keystead backup sign-restore ${path} --as ${proposer}, and each who agrees with --as their name\n`,
    );
  };
}

/** For programs. */
const quorumOf = ({ order, needed, roles, agreed, missing }: RestoreQuorum) => ({
  quorum: { restore: order.restore, needed, roles, agreed, missing: missing?.toJSON() },
});

/** What to do next, to the letter: it may be three in the morning. */
function quorumLines({ needed, roles, agreed, missing }: RestoreQuorum, flags: RestoreFlags): string[] {
  if (agreed !== undefined) {
    return [`  ${agreed.proposer} asked and ${agreed.approvers.join(', ')} agreed: keyd verifies it when it starts`];
  }
  const path = orderPath(flags);
  return [
    `  KEYD IS CLOSED until ${flags.as} and ${needed} of ${roles.join(', ')} besides have signed (${missing?.code ?? 'nobody has'})`,
    `  next:  keystead backup sign-restore ${path} --as ${flags.as} --out ${flags.shares}/${flags.as}.statement`,
    `         keystead backup sign-restore ${path} --as NAME --out ${flags.shares}/NAME.statement    (each who agrees)`,
    `         keystead backup admit ${flags.shares}/*.statement --data ${flags.to}`,
  ];
}

/** Shows the session and takes what is put into the directory. */
function collectorOf({ shares, wait, json }: SessionFlags): (session: ShareSession) => Promise<void> {
  return async (session) => {
    mkdirSync(shares, { recursive: true, mode: 0o700 });
    const { recipient } = session;
    const fingerprint = fingerprintOf(recipient);
    print(json, { session: { recipient, fingerprint, missing: session.missing, shares } }, [
      `waiting for ${session.missing} responses in ${shares}`,
      `  recipient    ${recipient}`,
      `  fingerprint  ${fingerprint}`,
    ]);
    await collectResponses(session, shares, wait * 1000, {
      accepted: (custodian) =>
        print(json, { accepted: custodian, missing: session.missing }, [
          `  ${custodian} gave a share; ${session.missing} more needed`,
        ]),
      refused: (file, error) =>
        print(json, { refused: file, error: error.toJSON() }, [`  ${file}: ${error.message} [${error.code}]`]),
    });
  };
}

function print(json: boolean | undefined, value: unknown, lines: readonly string[]): void {
  process.stdout.write(json === true ? `${JSON.stringify(value)}\n` : `${lines.join('\n')}\n`);
}

function seconds(text: string): number {
  if (!/^\d{1,6}$/.test(text)) throw new InvalidArgumentError('A whole number of seconds.');
  return Number(text);
}
