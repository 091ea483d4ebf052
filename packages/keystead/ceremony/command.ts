import { stdout } from 'node:process';
import type { Clock } from '@keystead/core/clock';
import { OFFLINE_CAS } from '@keystead/core/lifecycle';
import { REVOCATION_REASONS, type RevocationReason } from '@keystead/core/x509';
import { Command, InvalidArgumentError, Option } from 'commander';
import { readFingerprint } from '../files/fingerprint.ts';
import { type FirmwareCeremonyOptions, firmwareCertificates, holdFirmware } from './firmware.ts';
import { act, type CommonFlags, readInput, withCommonFlags } from './flags.ts';
import { founding } from './founding.ts';
import { scriptOf } from './hold.ts';
import { readInputs } from './inputs.ts';
import { holdIntermediate, intermediate } from './intermediate.ts';
import type { CeremonyOptions } from './options.ts';
import { holdCrl, revocationLists } from './revocation-lists.ts';
import { holdRollover, rollover } from './rollover.ts';
import { runCeremony } from './run.ts';
import { formatFindings, verifyCeremony } from './verify.ts';

/** `keystead ceremony`: the commands of the offline machine. Without a kind it is the founding. */
export function ceremonyCommand(clock: Clock): Command {
  return new Command('ceremony')
    .description('Hold a key ceremony on a machine without network: found a hierarchy, or change it later')
    .addCommand(foundingCommand(clock), { isDefault: true })
    .addCommand(intermediateCommand(clock))
    .addCommand(firmwareCommand(clock))
    .addCommand(crlCommand(clock))
    .addCommand(rolloverCommand(clock))
    .addCommand(verifyCommand())
    .addHelpText(
      'after',
      `
Without a command it is the founding:
  $ keystead ceremony --request request.json --policy policy.json --print-script --witness 'Ada Lovelace'
  $ keystead ceremony crl --previous DIR --offline DIR --out DIR --witness 'Ada Lovelace'
  $ keystead ceremony verify DIR

Roots are in sealed files under a passphrase, or on a token (--root-keystore FILE).`,
    );
}

function foundingCommand(clock: Clock): Command {
  interface Flags extends CommonFlags {
    request: string;
    policy: string;
  }
  const command = new Command('founding')
    .description('Generate the roots and certify the CAs of a keyd')
    .requiredOption('--request <file>', "keyd's ceremony/request.json")
    .requiredOption('--policy <file>', 'the policy that is to be in force');
  return withCommonFlags(command).action((flags: Flags) => {
    const inputs = () => ({
      request: readInput('--request', flags.request),
      policy: readInput('--policy', flags.policy),
    });
    return act(flags, clock, {
      script: (options) => {
        const { policy, request } = inputs();
        return scriptOf(options, founding(readInputs(policy, request)));
      },
      hold: (options, io) => runCeremony({ ...options, ...inputs() }, io),
    });
  });
}

interface LaterFlags extends CommonFlags {
  previous: string;
  policy?: string;
}

const withLaterFlags = (command: Command): Command =>
  withCommonFlags(
    command
      .requiredOption('--previous <dir>', 'the outputs of the ceremony before this one')
      .option('--policy <file>', 'the policy in force, where it is another than that of the ceremony before'),
  );

const laterOptions = (options: CeremonyOptions, { previous, policy }: LaterFlags) => ({
  ...options,
  previous,
  policy: policy === undefined ? undefined : readInput('--policy', policy),
});

function intermediateCommand(clock: Clock): Command {
  interface Flags extends LaterFlags {
    request: string;
    revokeOld?: RevocationReason;
  }
  const command = new Command('intermediate')
    .description('Certify a CA of keyd again, for the key that it has or for a successor')
    .requiredOption('--request <file>', 'what `keystead hierarchy request` wrote')
    .option('--revoke-old <reason>', 'revoke the certificate that is replaced', reason);
  return withLaterFlags(command).action((flags: Flags) => {
    const all = (options: CeremonyOptions) => ({
      ...laterOptions(options, flags),
      request: readInput('--request', flags.request),
      revokeOld: flags.revokeOld,
    });
    return act(flags, clock, {
      script: (options) => scriptOf(options, intermediate(all(options))),
      hold: (options, io) => holdIntermediate(all(options), io),
    });
  });
}

function firmwareCommand(clock: Clock): Command {
  interface Flags extends LaterFlags {
    request: string;
  }
  const command = new Command('firmware')
    .description('Certify keys that sign firmware of production, by the signing root')
    .requiredOption('--request <file>', 'what `keystead hierarchy request-firmware` wrote');
  return withLaterFlags(command).action((flags: Flags) => {
    const all = (options: CeremonyOptions): FirmwareCeremonyOptions => ({
      ...laterOptions(options, flags),
      request: readInput('--request', flags.request),
    });
    return act(flags, clock, {
      script: (options) => scriptOf(options, firmwareCertificates(all(options))),
      hold: (options, io) => holdFirmware(all(options), io),
    });
  });
}

function crlCommand(clock: Clock): Command {
  interface Flags extends LaterFlags {
    revoke?: string;
    reason?: RevocationReason;
  }
  const command = new Command('crl')
    .description('Make new revocation lists of the roots, and revoke a CA or a key that signs firmware')
    .option(
      '--revoke <ca>',
      'the CA to revoke: operational, or operational.1 and operational.2 when it has had two keys; or a key that signs\n' +
        'firmware, as firmware-pump-1',
    )
    .option('--reason <reason>', 'why (RFC 5280 section 5.3.1)', reason);
  return withLaterFlags(command).action((flags: Flags) => {
    const { revoke } = flags;
    const all = (options: CeremonyOptions) => ({
      ...laterOptions(options, flags),
      revoke: revoke === undefined ? undefined : { ca: revoke, reason: flags.reason ?? 'unspecified' },
    });
    return act(flags, clock, {
      script: (options) => scriptOf(options, revocationLists(all(options))),
      hold: (options, io) => holdCrl(all(options), io),
    });
  });
}

function rolloverCommand(clock: Clock): Command {
  interface Flags extends LaterFlags {
    root: (typeof OFFLINE_CAS)[number];
  }
  const command = new Command('rollover')
    .description('Give a root a new key, with certificates that lead from each key to the other')
    .addOption(new Option('--root <role>', 'which root').choices(OFFLINE_CAS).default('root'));
  return withLaterFlags(command).action((flags: Flags) => {
    const all = (options: CeremonyOptions) => ({ ...laterOptions(options, flags), root: flags.root });
    return act(flags, clock, {
      script: (options) => scriptOf(options, rollover(all(options))),
      hold: (options, io) => holdRollover(all(options), io),
    });
  });
}

function verifyCommand(): Command {
  return new Command('verify')
    .description('Verify what a ceremony has left, offline; exit code 1 when anything is not proven')
    .argument('<dir>', 'the outputs of a ceremony')
    .option('--previous <dir>', 'the outputs of the ceremony before, which its transcript names')
    .option(
      '--root <fingerprint>',
      'SHA-256 of the root as a witness vouches for it, in hex or in words',
      readFingerprint,
    )
    .option('--json', 'an array of {check, verdict, evidence}')
    .action((dir: string, flags: { previous?: string; root?: string; json?: true }) => {
      const findings = verifyCeremony(dir, { previous: flags.previous, rootSha256: flags.root });
      stdout.write(flags.json ? `${JSON.stringify(findings, null, 2)}\n` : formatFindings(findings));
      if (findings.some(({ verdict }) => verdict === 'failed')) process.exitCode = 1;
    });
}

function reason(text: string): RevocationReason {
  const known = Object.keys(REVOCATION_REASONS) as RevocationReason[];
  const found = known.find((name) => name === text && name !== 'certificateHold');
  // A CA that is on hold would be neither trusted nor gone.
  if (found === undefined)
    throw new InvalidArgumentError(`One of ${known.filter((n) => n !== 'certificateHold').join(', ')}.`);
  return found;
}
