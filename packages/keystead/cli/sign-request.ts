import { canonicalJson, toHex } from '@keystead/core/bytes';
import { sha256 } from '@keystead/core/crypto';
import { FIRMWARE_FORMATS } from '@keystead/core/firmware';
import { parsePolicy, type StatementSigner } from '@keystead/core/lifecycle';
import { Command, InvalidArgumentError, Option } from 'commander';
import type { RestClient } from '../client/rest.ts';
import type { RequestView } from '../signing/index.ts';
import { duration } from './duration.ts';
import { asSigningOperator, type OperatorOptions, operatorOptions } from './operator.ts';
import { handIn, type LocalFile, localFile } from './sign-files.ts';
import { askingRole, requireOwnCopy, statementOf } from './sign-statement.ts';
import { printView, requestText } from './sign-text.ts';
import { REQUESTS, waitFor } from './sign-wait.ts';
import { asWorkload, type WorkloadOptions, workloadOptions } from './sign-workload.ts';
import { elsewhereOptions, type SignWithOptions } from './statement-signer.ts';

interface RequestOptions extends OperatorOptions, SignWithOptions, WorkloadOptions {
  product: string;
  environment: string;
  target: string;
  version: string;
  counter?: number;
  format: string;
  signingKey?: string[];
  sbom?: string;
  provenance?: string;
  reason: string;
  id?: string;
  for: number;
  rollback?: boolean;
  draft?: boolean;
  wait?: number;
}

/** A day in which the last approval may still come. */
const HOLDS_SECONDS = 86_400;

export function requestCommand(): Command {
  const command = new Command('request').argument('<image>', 'the image as it was built, not signed');
  return workloadOptions(elsewhereOptions(operatorOptions(command, 'release')), 'submit a draft')
    .description('hand in an image and sign that you ask for its signature; the same again is the same request')
    .requiredOption('--product <product>', 'as the policy names it')
    .addOption(
      new Option('--environment <environment>', 'where it shall run')
        .choices(['production', 'development'])
        .default('production'),
    )
    .requiredOption('--target <target>', 'what of the product it is for, for example mcu or gateway')
    .requiredOption('--version <version>', 'must be what the image says of itself')
    .option('--counter <n>', 'the security counter, where the format has no place for it', counter)
    .addOption(new Option('--format <format>', 'what it is signed as').choices(FIRMWARE_FORMATS).makeOptionMandatory())
    .option('--signing-key <id...>', 'keys of the policy; without it, those of the product and its environment')
    .option('--sbom <file>', 'CycloneDX or SPDX, JSON: bound to the request by its hash')
    .option('--provenance <file>', 'in-toto statement of SLSA, JSON or DSSE, which names the image')
    .requiredOption('--reason <text>', 'why, for those who approve and for the log')
    .option('--id <id>', 'the id of the request; without it, one that follows from all that is asked for')
    .option('--for <time>', 'how long the request is good, for example 12h', duration, HOLDS_SECONDS)
    .option('--rollback', 'it goes back behind what was signed before: takes the larger quorum of the policy')
    .option('--draft', 'hand it in and sign nothing: a release engineer asks for it later, with the same command')
    .addOption(new Option('--wait [time]', 'wait until it is signed').preset('1h').argParser(duration))
    .addHelpText(
      'after',
      `
Examples:
  $ keystead sign request pump.bin --product pump --target mcu --version 1.2.0 --format mcuboot --reason "autumn release"
  $ keystead sign request pump.bin ... --sbom pump.cdx.json --provenance pump.intoto.json --wait 2h --json
  $ keystead sign request pump.bin ... --token-fd 3 --url https://keystead.example:8443 --anchor root.pem 3<token`,
    )
    .action(async (image: string, options: RequestOptions) => {
      const quiet = options.json === true;
      const files = await filesOf(image, options, quiet);
      const waited = (client: RestClient, view: RequestView): RequestView | Promise<RequestView> =>
        options.wait === undefined ? view : waitFor(client, view.id, options.wait, quiet);
      const submitted = async (client: RestClient): Promise<RequestView> =>
        waited(client, await submit(client, files, options, quiet));
      const asked = async (client: RestClient, key: () => StatementSigner): Promise<RequestView> => {
        const draft = await submit(client, files, options, quiet);
        return waited(client, draft.state === 'draft' ? await propose(client, draft, image, options, key) : draft);
      };
      const view =
        options.tokenFd === undefined
          ? await asSigningOperator(options, options.draft === true ? submitted : asked)
          : await asWorkload(options, options.tokenFd, submitted);
      printView(options.json, view, requestText(view));
    });
}

interface Files {
  readonly image: LocalFile;
  readonly sbom?: LocalFile;
  readonly provenance?: LocalFile;
}

async function filesOf(image: string, { sbom, provenance }: RequestOptions, quiet: boolean): Promise<Files> {
  return {
    image: await localFile(image, quiet),
    ...(sbom === undefined ? {} : { sbom: await localFile(sbom, quiet) }),
    ...(provenance === undefined ? {} : { provenance: await localFile(provenance, quiet) }),
  };
}

async function submit(client: RestClient, files: Files, options: RequestOptions, quiet: boolean): Promise<RequestView> {
  for (const file of Object.values(files)) await handIn(client, file, quiet);
  const asked = {
    product: options.product,
    environment: options.environment,
    target: options.target,
    version: options.version,
    ...(options.counter === undefined ? {} : { securityCounter: options.counter }),
    format: options.format,
    ...(options.signingKey === undefined ? {} : { keys: options.signingKey }),
    image: { sha256: files.image.sha256 },
    documents: {
      ...(files.sbom === undefined ? {} : { sbom: files.sbom.sha256 }),
      ...(files.provenance === undefined ? {} : { provenance: files.provenance.sha256 }),
    },
    reason: options.reason,
    rollback: options.rollback === true,
  };
  return client.post<RequestView>(REQUESTS, { id: options.id ?? idOf(asked), ...asked });
}

/** The same request has the same id wherever it is made: to ask again is to ask the same. */
const idOf = (asked: Parameters<typeof canonicalJson>[0]): string =>
  `fw-${toHex(sha256(Buffer.from(canonicalJson(asked), 'utf8'))).slice(0, 32)}`;

async function propose(
  client: RestClient,
  draft: RequestView,
  image: string,
  options: RequestOptions,
  key: () => StatementSigner,
): Promise<RequestView> {
  await requireOwnCopy(draft.order, image, options.json === true);
  const { file } = await client.get<{ file: string }>('/api/v1/policy');
  const signer = options.as;
  const role = askingRole(parsePolicy(Buffer.from(file)), signer);
  const { order } = draft;
  const statement = await statementOf(
    { act: 'propose', order, proposer: signer, signer, role, seconds: options.for },
    key(),
  );
  return client.post<RequestView>(`${REQUESTS}/${draft.id}/statements`, { statement });
}

function counter(text: string): number {
  const value = Number(text);
  if (!/^\d{1,10}$/.test(text) || value > 0xffff_ffff) throw new InvalidArgumentError('A number of at most 32 bits.');
  return value;
}
