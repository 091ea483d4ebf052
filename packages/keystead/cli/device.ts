import { readFileSync } from 'node:fs';
import { GIVEN_REASONS, REASON_RULES } from '@keystead/core/lifecycle';
import { Command } from 'commander';
import { crlText, type RevokedAnswer } from './on-crl.ts';
import { asOperator, type OperatorOptions, operatorOptions, table } from './operator.ts';

interface DeviceView {
  readonly deviceId: string;
  readonly state: string;
  readonly ticketId: string | null;
}

/** Those that an operator may give of a device. */
const REASONS = GIVEN_REASONS.filter((reason) => REASON_RULES[reason].operator.includes('device'));

const print = (options: OperatorOptions, value: unknown, text: string): void => {
  process.stdout.write(options.json === true ? `${JSON.stringify(value, null, 2)}\n` : `${text}\n`);
};

/** `keystead device`: what an operator does with devices. */
export function deviceCommand(): Command {
  const device = new Command('device').description('list, look up, revoke, readmit and decommission devices');

  operatorOptions(device.command('list').description('every device and its state'), 'auditor').action(
    async (options: OperatorOptions) => {
      const { devices } = await asOperator(options, (client) =>
        client.get<{ devices: DeviceView[] }>('/api/v1/devices'),
      );
      const rows = devices.map(({ deviceId, state, ticketId }) => [deviceId, state, ticketId ?? '']);
      print(options, devices, table([['device', 'state', 'batch'], ...rows]));
    },
  );

  operatorOptions(device.command('show <id>').description('one device with its certificates'), 'auditor').action(
    async (id: string, options: OperatorOptions) => {
      const found = await asOperator(options, (client) =>
        client.get<unknown>(`/api/v1/devices/${encodeURIComponent(id)}`),
      );
      print(options, found, JSON.stringify(found, null, 2));
    },
  );

  operatorOptions(
    device
      .command('revoke <id>')
      .description('revoke all that a device has, and block its return')
      .option('--reason <reason>', `why: ${REASONS.join(', ')}`, 'keyCompromise')
      .addHelpText('after', '\nExample:\n  $ keystead device revoke KS-0003 --reason keyCompromise'),
    'pki',
  ).action(async (id: string, options: OperatorOptions & { reason: string }) => {
    const body = { deviceId: id, reason: options.reason };
    const answer = await asOperator(options, (client) => client.post<RevokedAnswer>('/api/v1/revocations', body));
    const crl = answer.onCrl ? '' : `; ${crlText(answer)}`;
    print(options, answer, `${id}: ${answer.revoked.length} certificates revoked (${options.reason})${crl}`);
  });

  operatorOptions(
    device
      .command('readmit <id>')
      .description('let a device whose grace period is over enrol once more, by its IDevID')
      .requiredOption('--reason <text>', 'why, for the audit log')
      .addHelpText(
        'after',
        `
On the device \`keystead-agent recover\` has it ask again, unless its own clock was wrong.

Example:
  $ keystead device readmit KS-0007 --reason "lay in a depot for a year"`,
      ),
    'pki',
  ).action(async (id: string, options: OperatorOptions & { reason: string }) => {
    const answer = await asOperator(options, (client) =>
      client.post<{ until: string }>(`/api/v1/devices/${encodeURIComponent(id)}/readmission`, {
        reason: options.reason,
      }),
    );
    print(options, answer, `${id}: may enrol by its IDevID until ${answer.until}`);
  });

  operatorOptions(
    device
      .command('decommission <id>')
      .description('end a device: revoke all it has and print the signed evidence')
      .option('--reason <text>', 'why, for the evidence and the audit log', 'end of life')
      .option('--wipe-evidence <file>', 'what the device signed when it wiped itself: verified, and entered')
      .addHelpText(
        'after',
        '\nExample:\n  $ keystead device decommission KS-0008 --reason "lost on the ward" > KS-0008.decommission.yaml',
      ),
    'pki',
  ).action(async (id: string, options: OperatorOptions & { reason: string; wipeEvidence?: string }) => {
    const { reason, wipeEvidence: file } = options;
    const body = { wiped: [], reason, ...(file === undefined ? {} : { wipeEvidence: readFileSync(file, 'utf8') }) };
    const answer = await asOperator(options, (client) =>
      client.post<{ evidence: string }>(`/api/v1/devices/${encodeURIComponent(id)}/decommission`, body),
    );
    print(options, answer, answer.evidence.trimEnd());
  });
  return device;
}
