import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fromPem } from '@keystead/core/bytes';
import { type ErrorKind, KeysteadError } from '@keystead/core/errors';
import { Command } from 'commander';
import { LogProver } from '../audit/index.ts';
import type { RestClient } from '../client/rest.ts';
import { Layout } from '../files/layout.ts';
import { isBirthCertificate, readBirthCertificate } from '../verify/birth-certificate.ts';
import { verifyExport, verifyWholeBatch } from '../verify/export/check.ts';
import { RecordExport } from '../verify/export/write.ts';
import { checkpointKeys } from '../verify/log-keys.ts';
import { type RecordEvidence, type RecordTrust, RecordVerifier } from '../verify/record.ts';
import { certificateIn } from '../verify/trusted.ts';
import { EXIT } from './exit.ts';
import { asOperator, type OperatorOptions, operatorOptions } from './operator.ts';
import { progressOf } from './progress.ts';
import { allPages, type RecordChoice, recordChoice, requireChoice } from './provisioning-records.ts';
import { exportPage } from './provisioning-report.ts';
import { unitCommands } from './provisioning-unit.ts';

/** `keystead provisioning`: the records of what the factory did, and their offline proof. REQ-KEY-PROV-02 */
export function provisioningCommand(): Command {
  const provisioning = new Command('provisioning').description(
    'provision a unit at the line; provisioning records: show, export, birth certificate, verify offline',
  );
  unitCommands(provisioning);
  provisioning.addCommand(showCommand());
  provisioning.addCommand(exportCommand());
  provisioning.addCommand(birthCertificateCommand());
  provisioning.addCommand(verifyCommand());
  return provisioning;
}

function showCommand(): Command {
  return operatorOptions(recordChoice(new Command('show')), 'auditor')
    .description(
      'signed records: of one device exactly the bytes that were signed, of several a stream of YAML documents',
    )
    .addHelpText(
      'after',
      '\nWith --json one line of JSON a record.\n\nExamples:\n  $ keystead provisioning show KS-0001 > KS-0001.yaml\n  $ keystead provisioning show --batch lot-7\n  $ keystead provisioning show --from 2026-03-01 --to 2026-03-31 --json',
    )
    .action(async (device: string | undefined, options: OperatorOptions & RecordChoice) => {
      const choice = requireChoice(device, options);
      await asOperator(options, async (client) => {
        for await (const { records } of allPages(client, choice, '')) {
          for (const one of records) {
            if (options.json === true)
              process.stdout.write(`${JSON.stringify(one, null, device === undefined ? 0 : 2)}\n`);
            else process.stdout.write(device === undefined ? `---\n${one.record}` : one.record);
          }
        }
      });
    });
}

function exportCommand(): Command {
  return operatorOptions(recordChoice(new Command('export')), 'auditor')
    .description('write records, signatures, proofs of inclusion and what verifies them into a directory')
    .requiredOption('--out <dir>', 'an empty directory, or one with the beginning of the same export; it is made')
    .addHelpText(
      'after',
      '\nAn export that was cut off goes on where it was when it is run again.\n\nExamples:\n  $ keystead provisioning export KS-0001 --out ./for-the-auditor\n  $ keystead provisioning export --batch lot-7 --out ./lot-7',
    )
    .action(async (device: string | undefined, options: OperatorOptions & RecordChoice & { out: string }) => {
      const choice = requireChoice(device, options);
      const layout = new Layout(options.data);
      const progress = progressOf('records', options.json === true, 'records');
      const made = await asOperator(options, async (client) => {
        const ticket = await wholeBatch(client, options);
        const prover = new LogProver(layout.log, checkpointKeys(layout.trust));
        const out = RecordExport.open(options.out, layout, { query: choice.query, prover, ticket });
        for await (const { records, next } of allPages(client, choice, out.next)) {
          await out.add(records, next);
          progress.at(out.records);
        }
        out.finish();
        return out.records;
      });
      progress.end();
      const record = device === undefined ? options.out : join(options.out, `${device}.yaml`);
      process.stdout.write(options.json === true ? `${JSON.stringify({ record, records: made })}\n` : `${record}\n`);
    });
}

/** The ticket, where the whole of a batch is asked for: a statement of a part of it would say what is not so. */
async function wholeBatch(client: RestClient, { batch, from, to }: RecordChoice): Promise<string | undefined> {
  if (batch === undefined || from !== undefined || to !== undefined) return undefined;
  return (await client.get<{ ticket: string }>(`/api/v1/batches/${encodeURIComponent(batch)}`)).ticket;
}

function birthCertificateCommand(): Command {
  return operatorOptions(new Command('birth-certificate').argument('<device>'), 'auditor')
    .description(
      'the record as one file that travels with the device: CMS, with the certificates and the proof of inclusion',
    )
    .requiredOption('--out <file>', 'where to write it: PEM, or DER when the name ends in .der')
    .addHelpText(
      'after',
      '\nExamples:\n  $ keystead provisioning birth-certificate KS-0001 --out KS-0001.birth.pem\n  $ openssl cms -verify -inform PEM -in KS-0001.birth.pem -CAfile root.pem',
    )
    .action(async (device: string, options: OperatorOptions & { out: string }) => {
      const path = `/api/v1/records/${encodeURIComponent(device)}/birth-certificate`;
      const { birthCertificate: pem } = await asOperator(options, (client) =>
        client.get<{ birthCertificate: string }>(path),
      );
      const [der] = fromPem('CMS', pem);
      if (der === undefined) throw new KeysteadError('service.bad-answer', { seen: pem.slice(0, 80) });
      writeFileSync(options.out, options.out.endsWith('.der') ? der : pem);
      process.stdout.write(options.json === true ? `${JSON.stringify({ file: options.out })}\n` : `${options.out}\n`);
    });
}

interface VerifyOptions {
  readonly trust?: string;
  readonly log?: string;
  readonly json?: boolean;
}

function verifyCommand(): Command {
  return new Command('verify')
    .argument('<what>', 'a record (.yaml), a birth certificate, or a directory that was exported')
    .description('verify offline: a record, a birth certificate, an export; exit code 1 when anything is not proven')
    .option(
      '--trust <dir>',
      'directory with root.pem, log.vkey and log-cosign.vkey that you trust; that of the file unless told',
    )
    .option('--log <dir>', 'a copy of the published log: whether the export of a batch has every unit of it')
    .option('--json', 'machine-readable output')
    .addHelpText(
      'after',
      '\nExamples:\n  $ keystead provisioning verify ./for-the-auditor/KS-0001.yaml\n  $ keystead provisioning verify ./lot-7 --trust ./trust\n  $ keystead provisioning verify KS-0001.birth.pem --trust ./trust',
    )
    .action(async (path: string, options: VerifyOptions) => {
      const found = statSync(path, { throwIfNoEntry: false });
      if (found === undefined) throw new KeysteadError('request.malformed', { field: path, seen: 'no such file' });
      if (found.isDirectory()) await verifyDirectory(path, options);
      else await verifyOne(path, options);
    });
}

/** What was looked at and does not hold is an outcome, not a refusal of the command: exit code 1. */
async function proven<T>(path: string, options: VerifyOptions, look: () => T | Promise<T>): Promise<T | undefined> {
  try {
    return await look();
  } catch (error) {
    if (!(error instanceof KeysteadError) || CANNOT_LOOK.has(error.kind)) throw error;
    if (options.json === true) process.stdout.write(`${JSON.stringify({ file: path, proven: false, error })}\n`);
    else process.stderr.write(`${path}: NOT PROVEN: ${error.message} [${error.code}]\n`);
    process.exitCode = EXIT.notProven;
    return undefined;
  }
}

const CANNOT_LOOK: ReadonlySet<ErrorKind> = new Set(['not-found', 'unavailable']);

async function verifyDirectory(path: string, options: VerifyOptions): Promise<void> {
  const progress = progressOf('verified', options.json === true, 'files');
  const { trust, log } = options;
  const at = (done: number, all: number): void => {
    if (done % 100 === 0) progress.at(done, all);
  };
  const report = await proven(path, options, () =>
    log === undefined ? verifyExport(path, trust, at) : verifyWholeBatch(path, { trust, log }, at),
  );
  progress.end();
  if (report === undefined) return;
  process.stdout.write(options.json === true ? `${JSON.stringify(report, null, 2)}\n` : `${exportPage(report)}\n`);
  process.exitCode = report.failed === 0 ? EXIT.done : EXIT.notProven;
}

async function verifyOne(path: string, options: VerifyOptions): Promise<void> {
  const trust = options.trust ?? dirname(path);
  const file = readFileSync(path);
  const verified = await proven(path, options, () => {
    const { evidence, chain } = isBirthCertificate(file) ? fromBirthCertificate(file) : fromFiles(path, file, trust);
    const anchors = [certificateIn(join(trust, 'root.pem'))];
    return new RecordVerifier({ anchors, logKeys: checkpointKeys(trust), ...chain }).verify(evidence);
  });
  if (verified === undefined) return;
  const { deviceId, date, operator, line, keyOrigin, entry } = verified;
  process.stdout.write(
    options.json === true
      ? `${JSON.stringify(verified, null, 2)}\n`
      : `${deviceId}: provisioned ${date} by ${operator} at ${line}, key ${keyOrigin}; entry ${entry.seq} of the log, ${entry.time}\n`,
  );
}

interface Shown {
  readonly evidence: RecordEvidence;
  readonly chain: Pick<RecordTrust, 'signers' | 'intermediates'>;
}

function fromBirthCertificate(file: Uint8Array): Shown {
  const { evidenceSigner, intermediates, ...evidence } = readBirthCertificate(file);
  return { evidence, chain: { signers: [evidenceSigner], intermediates } };
}

function fromFiles(path: string, record: Uint8Array, trust: string): Shown {
  for (const file of [`${path}.sig`, `${path}.proof.json`]) {
    if (!existsSync(file)) throw new KeysteadError('record.unproven', { field: file, seen: 'no such file' });
  }
  let proof: unknown;
  try {
    proof = JSON.parse(readFileSync(`${path}.proof.json`, 'utf8'));
  } catch {
    throw new KeysteadError('record.unproven', { field: 'proof', seen: 'no JSON' });
  }
  const beside = (name: string): string => {
    const own = join(dirname(path), name);
    return existsSync(own) ? own : join(trust, name);
  };
  const all = (name: string) => fromPem('CERTIFICATE', readFileSync(beside(name), 'latin1')) as never[];
  return {
    evidence: { record, signature: readFileSync(`${path}.sig`), proof },
    chain: { signers: all('evidence-signer.pem'), intermediates: all('server.pem') },
  };
}
