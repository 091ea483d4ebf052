import { toHex } from '@keystead/core/bytes';
import { certSha256, type SecretBytes } from '@keystead/core/crypto';
import { DEFAULT_ADDRESS, DEFAULT_PCRS, endorsementCertificates, lockoutState, Tpm, TpmRandom } from '@keystead/tpm2';
import { Command, InvalidArgumentError, Option } from 'commander';
import { systemClock } from '../clock/system.ts';
import { readPassphrase, readSealedSecret, unsealPassphrase, writeSealedSecret } from '../keystore/index.ts';
import { identityCommand } from './tpm-identity.ts';
import { ownerAuthOf, ownerAuthOption } from './tpm-owner.ts';

interface OwnerFlags {
  ownerAuthFd?: number;
}

interface TpmFlags {
  tpm: string;
  json?: boolean;
}

interface SealFlags extends TpmFlags, OwnerFlags {
  out: string;
  pcrs: number[];
  bank: 'sha1' | 'sha256' | 'sha384';
  passphraseFd?: number;
  replace?: boolean;
}

/**
 * `keystead tpm`: seal a passphrase to this machine's TPM, try whether it opens, what the TPM says of itself, and a
 * device's identity in it.
 */
export function tpmCommand(): Command {
  const tpm = new Command('tpm').description("this machine's TPM 2.0: seal a passphrase, try it, look at the TPM");

  ownerAuthOption(common(tpm.command('seal')))
    .description('seal a passphrase to the PCRs as they are now; the custodians keep the passphrase itself')
    .requiredOption('--out <file>', 'the file to write')
    .option('--pcrs <list>', 'numbers 0 to 23, with commas', numbers, [...DEFAULT_PCRS.pcrs])
    .addOption(
      new Option('--bank <hash>', 'the bank of PCRs').choices(['sha1', 'sha256', 'sha384']).default(DEFAULT_PCRS.bank),
    )
    .option('--passphrase-fd <n>', 'file descriptor with the passphrase; the terminal is asked without it', whole)
    .option('--replace', 'replace a file that is there, once the new one opens')
    .addHelpText('after', '\nExample:\n  $ keystead tpm seal --out keyd.tpm2 --pcrs 7 --passphrase-fd 3 3< passphrase')
    .action(seal);

  ownerAuthOption(common(tpm.command('unseal-check <file>').alias('check')))
    .description('open the file as keyd would and throw the passphrase away; exit code 3 names the PCRs that differ')
    .action(async (file: string, flags: TpmFlags & OwnerFlags) => {
      using ownerAuth = await ownerAuthOf(flags);
      (await unsealPassphrase({ path: file, tpm: flags.tpm, ownerAuth })).wipe();
      const { bank, pcrs, sealedAt } = readSealedSecret(file);
      const report = { outcome: 'opens', bank, pcrs: [...pcrs.keys()], sealedAt };
      print(flags, report, `${file}: opens; sealed ${sealedAt} to ${bank}:${report.pcrs.join(',')}`);
    });

  common(tpm.command('status'))
    .description('who made the TPM, whether its random generator is healthy, whether it is locked out')
    .action(status);

  tpm.addCommand(identityCommand());
  return tpm;
}

function common(command: Command): Command {
  return command
    .option('--tpm <address>', 'device:/dev/tpmrm0, unix:/path or tcp:host:port', DEFAULT_ADDRESS)
    .option('--json', 'machine-readable output');
}

async function seal(flags: SealFlags): Promise<void> {
  using passphrase = await passphraseOf(flags);
  const selection = { bank: flags.bank, pcrs: flags.pcrs };
  using ownerAuth = await ownerAuthOf(flags);
  const to = { path: flags.out, tpm: flags.tpm, ownerAuth };
  const sealed = await writeSealedSecret(to, passphrase, systemClock, { selection, replace: flags.replace });
  const pcrs = Object.fromEntries([...sealed.pcrs].map(([pcr, value]) => [pcr, toHex(value)]));
  const report = { file: flags.out, bank: sealed.bank, pcrs, storageRoot: sealed.storageRoot };
  print(flags, report, `${flags.out}: sealed to ${sealed.bank}:${Object.keys(pcrs).join(',')}, and it opens`);
}

function passphraseOf({ passphraseFd }: SealFlags): Promise<SecretBytes> {
  return readPassphrase(passphraseFd === undefined ? { prompt: true } : { fd: passphraseFd });
}

async function status(flags: TpmFlags): Promise<void> {
  await using tpm = await Tpm.open(flags.tpm);
  const info = await tpm.info();
  const lockout = await tpm.use(lockoutState);
  const certificates = await tpm.use(endorsementCertificates);
  const endorsement = certificates.map(({ kind, certificate }) => ({
    kind: kind.label,
    sha256: certSha256(certificate),
  }));
  await new TpmRandom(tpm).check();
  const report = { ...info, address: tpm.address, random: 'healthy', lockout, endorsement };
  const lines = [
    `TPM 2.0 ${info.manufacturer} ${info.model}, firmware ${info.firmware}, specification ${info.revision}`,
    `curves: ${info.curves.join(', ')}; FIPS 140-2 mode by its own word: ${info.fips1402 ? 'yes' : 'no'}`,
    'random generator: passed the health tests of SP 800-90B',
    `lockout: ${lockout.locked ? 'locked' : 'no'}, ${lockout.failures} of ${lockout.most} failures, one forgiven every ${lockout.intervalSeconds} s`,
    ...endorsement.map(({ kind, sha256 }) => `EK certificate ${kind}: sha256 ${sha256}`),
  ];
  print(flags, report, lines.join('\n'));
}

function print(flags: TpmFlags, value: unknown, text: string): void {
  process.stdout.write(flags.json === true ? `${JSON.stringify(value, null, 2)}\n` : `${text}\n`);
}

function numbers(text: string): number[] {
  if (!/^\d{1,2}(,\d{1,2})*$/.test(text)) throw new InvalidArgumentError('Numbers of PCRs with commas, such as 0,7.');
  return text.split(',').map(Number);
}

function whole(text: string): number {
  if (!/^\d{1,4}$/.test(text)) throw new InvalidArgumentError('A whole number.');
  return Number(text);
}
