import { Command } from 'commander';
import { asOperator, type OperatorOptions, operatorOptions } from './operator.ts';

/** `keystead provisioning`: the records of what the factory did. */
export function provisioningCommand(): Command {
  const provisioning = new Command('provisioning').description('provisioning records');
  operatorOptions(
    provisioning
      .command('show <device>')
      .description('the signed record of one device, exactly the bytes that were signed')
      .addHelpText('after', '\nExample:\n  $ keystead provisioning show KS-0001 > KS-0001.yaml'),
    'auditor',
  ).action(async (device: string, options: OperatorOptions) => {
    const answer = await asOperator(options, (client) =>
      client.get<{ record: string; signature: string }>(`/api/v1/records/${encodeURIComponent(device)}`),
    );
    process.stdout.write(options.json === true ? `${JSON.stringify(answer, null, 2)}\n` : answer.record);
  });
  return provisioning;
}
