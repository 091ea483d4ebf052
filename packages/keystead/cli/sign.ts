import { Command } from 'commander';
import { EXIT } from './exit.ts';
import { anchorsCommand } from './sign-anchors.ts';
import { approveCommand } from './sign-approve.ts';
import { inspectCommand, prepareCommand } from './sign-image.ts';
import { fetchCommand, listCommand, showCommand, statusCommand, withdrawCommand } from './sign-look.ts';
import { requestCommand } from './sign-request.ts';
import { verifyHssCommand } from './sign-verify-hss.ts';

/** `keystead sign`: firmware signatures that no one person can make alone. REQ-KEY-SOD-02 */
export function signCommand(): Command {
  const sign = new Command('sign').description(
    'ask for firmware signatures, approve what others ask for, fetch the results',
  );
  for (const command of [
    requestCommand(),
    showCommand(),
    approveCommand(),
    statusCommand(),
    fetchCommand(),
    listCommand(),
    withdrawCommand(),
    inspectCommand(),
    prepareCommand(),
    anchorsCommand(),
    verifyHssCommand(),
  ])
    sign.addCommand(command);
  return sign.addHelpText(
    'after',
    `
Exit codes:
  ${EXIT.done}  done; of status and of --wait: it is signed
  ${EXIT.refused}  refused, also of status and of --wait: it ended without a signature
  ${EXIT.unavailable}  of status and of --wait: it waits for people or for keyd; ask again

Examples:
  $ keystead sign request pump.bin --product pump --target mcu --version 1.2.0 --format mcuboot --reason "autumn release"
  $ keystead sign approve fw-3f0c1d2e4b5a6978 --image pump.bin --as approver
  $ keystead sign status fw-3f0c1d2e4b5a6978 --wait 2h
  $ keystead sign fetch fw-3f0c1d2e4b5a6978 --out pump.signed.bin`,
  );
}
