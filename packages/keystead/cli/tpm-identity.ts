import { deviceCsr, TpmDevice } from '@keystead/agent';
import { toBase64, toPem } from '@keystead/core/bytes';
import { type SecretBytes, spkiSha256 } from '@keystead/core/crypto';
import { checkDeviceId } from '@keystead/core/x509';
import { DEFAULT_ADDRESS, Tpm } from '@keystead/tpm2';
import { Command } from 'commander';
import { systemClock } from '../clock/system.ts';
import { type AnswerJson, readChallenge, shownJson } from './attestation-files.ts';
import { ownerAuthOf, ownerAuthOption } from './tpm-owner.ts';

interface IdentityFlags {
  directory: string;
  tpm: string;
  ownerAuthFd?: number;
}

/** `keystead tpm identity`: the device's side of provisioning with a key in the TPM, for lines without the agent. */
export function identityCommand(): Command {
  const identity = new Command('identity').description(
    "a device's identity in its TPM: make it, show it to the station, answer the station's challenge",
  );

  common(identity.command('create'))
    .description('make the identity key, the key that attests it, and the secret of the state; each stays in the TPM')
    .action(async (flags: IdentityFlags) => {
      await withTpm(flags, async (tpm, ownerAuth) => {
        const device = await TpmDevice.create(flags.directory, tpm, { clock: systemClock, ownerAuth });
        process.stdout.write(`${flags.directory}: key sha256 ${spkiSha256(device.signer().spki)}\n`);
      });
    });

  common(identity.command('show'))
    .description('print what a station shows keyd of this TPM, JSON; nothing of it is secret')
    .action(async (flags: IdentityFlags) => {
      await withDevice(flags, async (device) => {
        process.stdout.write(`${JSON.stringify(shownJson(await device.shown()), null, 2)}\n`);
      });
    });

  common(identity.command('answer <device>'))
    .description(
      "open the challenge (JSON, from standard input) in the TPM, and print the answer with the device's request",
    )
    .option('--challenge <file>', 'the challenge from a file', '-')
    .action(async (id: string, flags: IdentityFlags & { challenge: string }) => {
      const { challengeId, credential } = readChallenge(flags.challenge);
      await withDevice(flags, async (device) => {
        const csr = toPem('CERTIFICATE REQUEST', await deviceCsr(checkDeviceId(id), device.signer()));
        using secret = await device.activate(credential);
        const answer: AnswerJson = { challengeId, secret: secret.use(toBase64), csr };
        process.stdout.write(`${JSON.stringify(answer, null, 2)}\n`);
      });
    });
  return identity;
}

const common = (command: Command): Command =>
  ownerAuthOption(
    command
      .requiredOption('--directory <dir>', 'where the wrapped keys lie')
      .option('--tpm <address>', 'device:/dev/tpmrm0, unix:/path or tcp:host:port', DEFAULT_ADDRESS),
  );

async function withTpm(
  flags: IdentityFlags,
  work: (tpm: Tpm, ownerAuth: SecretBytes | undefined) => Promise<void>,
): Promise<void> {
  using ownerAuth = await ownerAuthOf(flags);
  await using tpm = await Tpm.open(flags.tpm);
  await work(tpm, ownerAuth);
}

const withDevice = (flags: IdentityFlags, work: (device: TpmDevice) => Promise<void>): Promise<void> =>
  withTpm(flags, (tpm, ownerAuth) => work(TpmDevice.open(flags.directory, tpm, { ownerAuth })));
