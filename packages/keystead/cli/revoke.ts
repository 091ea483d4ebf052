import { GIVEN_REASONS, ONLINE_CAS } from '@keystead/core/lifecycle';
import { Command, Option } from 'commander';
import type { RestClient } from '../client/rest.ts';
import { duration } from './duration.ts';
import { crlText, type RevokedAnswer } from './on-crl.ts';
import { asSigningOperator, operatorOptions } from './operator.ts';
import { bodyOf, type RevokeOptions } from './revoke-body.ts';
import { confirm, finished, LARGE, print, REQUESTS } from './revoke-dialogue.ts';
import { approveCommand, requestsCommand, showCommand, withdrawCommand } from './revoke-requests.ts';
import { ask, stopCa } from './revoke-statement.ts';
import { type ActAnswer, actText, censusText, certificates, nameOf, type Shown } from './revoke-text.ts';
import { signWithOptions } from './statement-signer.ts';

/** `keystead revoke`: takes certificates out of service, puts them on hold, and brings those back. REQ-KEY-REV-01 */
export function revokeCommand(): Command {
  const revoke = new Command('revoke').description(
    'revoke, hold or release certificates, keys, devices, batches and CAs; ask others to agree, and approve',
  );
  revoke.addCommand(orderCommand(), { isDefault: true });
  revoke.addCommand(requestsCommand());
  revoke.addCommand(showCommand());
  revoke.addCommand(approveCommand());
  revoke.addCommand(withdrawCommand());
  return revoke.addHelpText('after', EXAMPLES);
}

const EXAMPLES = `
Examples:
  $ keystead revoke --device KS-0003 --reason keyCompromise --dry-run   what it would take; changes nothing
  $ keystead revoke --device KS-0003 --reason keyCompromise
  $ keystead revoke --certificate lost.pem --reason superseded
  $ keystead revoke --serial 4F:0A:11 --issuer server --hold            for an inquiry; not for good
  $ keystead revoke --serial 4F:0A:11 --issuer server --release         signed with your key; keyd verifies it
  $ keystead revoke --batch batch-2026-11 --reason privilegeWithdrawn --propose
  $ keystead revoke approve ID --as approver
  $ keystead revoke --ca operational --reason cACompromise              its key is stopped first

keystead revoke order --help lists every option of the first ones.
Reasons: ${GIVEN_REASONS.join(', ')}; cACompromise is for a CA alone.
Exit codes: 0 done, or asked for with --propose; 2 wrong command line; 3 refused; 4 try again.`;

function orderCommand(): Command {
  return signWithOptions(operatorOptions(new Command('order'), 'pki'))
    .description('revoke what one of these names; this is what keystead revoke does')
    .option('--serial <hex>', 'a certificate by its serial number, in the form of any tool')
    .option('--issuer <ca>', `which CA issued that: ${ONLINE_CAS.join(', ')}; operational.2 is its second key`)
    .option('--certificate <file>', 'a certificate by itself, PEM or DER')
    .option('--device <id>', 'a device with all it has; revoked, it gets no certificate any more')
    .option('--batch <ticket>', 'every unit of a batch ticket')
    .option('--key <sha256>', 'a key by the SHA-256 of its SubjectPublicKeyInfo, with every certificate on it')
    .option('--ca <ca>', 'all that a CA has issued')
    .addOption(new Option('--reason <reason>', 'why it is revoked').choices(GIVEN_REASONS))
    .option('--invalidity-date <time>', 'since when it is known or suspected to be invalid, ISO 8601 (RFC 5280 5.3.2)')
    .addOption(new Option('--hold', 'put it on hold: it can be released').conflicts(['release', 'reason']))
    .addOption(new Option('--release', 'take it off its hold, signed with your own key').conflicts(['reason']))
    .option('--dry-run', 'tell what it would take, and change nothing')
    .option('--propose', 'sign that you ask for it; others approve, as the policy says')
    .option('--for <time>', 'how long the request or the release is good, for example 12h, 7d', duration, 24 * 3600)
    .option('--yes', `do not ask, also when it is a batch, a CA or more than ${LARGE} certificates`)
    .addHelpText('after', EXAMPLES)
    .action(async (options: RevokeOptions) => {
      const body = bodyOf(options);
      await asSigningOperator(options, async (client, signer) => {
        const census = await client.post<Shown>('/api/v1/revocations', { ...body, dryRun: true });
        if (options.dryRun === true) return print(options, census, censusText(census));
        await confirm(census, options);
        if (census.selector.kind === 'ca' && census.reason === 'cACompromise')
          await stopCa(client, census, options, signer);
        if (options.release !== true && options.propose !== true) return revokeNow(client, body, census, options);
        const statement = await ask(census, options, signer);
        const view = await finished(client, await client.post<ActAnswer>(REQUESTS, { statement }), options);
        print(options, view, actText(view));
      });
    });
}

async function revokeNow(client: RestClient, body: object, census: Shown, options: RevokeOptions): Promise<void> {
  const answer = await client.post<ActAnswer | RevokedAnswer>('/api/v1/revocations', body);
  if ('revoked' in answer) {
    const what = census.act === 'hold' ? 'on hold' : `revoked (${census.reason})`;
    print(
      options,
      answer,
      `${nameOf(census)}: ${answer.revoked.length} ${certificates(answer.revoked.length)} ${what}; ${crlText(answer)}`,
    );
    return;
  }
  const view = await finished(client, answer, options);
  print(options, view, actText(view));
}
