import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fromBase64, toPem } from '@keystead/core/bytes';
import { Command } from 'commander';
import { parse } from 'yaml';
import { proofFor } from '../audit/index.ts';
import { Layout } from '../files/layout.ts';
import { checkpointKeys } from '../verify/log-keys.ts';
import { verifyRecord } from '../verify/record.ts';
import { certificateIn, documentChain } from '../verify/trusted.ts';
import { asOperator, type OperatorOptions, operatorOptions } from './operator.ts';
import { unitCommands } from './provisioning-unit.ts';

interface RecordAnswer {
  readonly record: string;
  readonly signature: string;
  readonly auditSeq: number;
}

/** What a verifier needs beside the record itself: public, the same for every device. */
const LOG_FILES = ['log.vkey', 'log-cosign.vkey'];

/** The time and the anchor that a record names. */
function namedIn(record: string): [date: Date, anchor: string | undefined] {
  const { date, keys } = parse(record) as { date: string; keys?: { bootstrap_ca?: string } };
  return [new Date(date), keys?.bootstrap_ca?.replace(/^sha256:/, '')];
}

const fetchRecord = (device: string, options: OperatorOptions): Promise<RecordAnswer> =>
  asOperator(options, (client) => client.get<RecordAnswer>(`/api/v1/records/${encodeURIComponent(device)}`));

/** `keystead provisioning`: the records of what the factory did, and their offline proof. REQ-KEY-PROV-02 */
export function provisioningCommand(): Command {
  const provisioning = new Command('provisioning').description(
    'provision a unit at the line; provisioning records: show, export, verify offline',
  );
  unitCommands(provisioning);

  operatorOptions(
    provisioning
      .command('show <device>')
      .description('the signed record of one device, exactly the bytes that were signed')
      .addHelpText('after', '\nExample:\n  $ keystead provisioning show KS-0001 > KS-0001.yaml'),
    'auditor',
  ).action(async (device: string, options: OperatorOptions) => {
    const answer = await fetchRecord(device, options);
    process.stdout.write(options.json === true ? `${JSON.stringify(answer, null, 2)}\n` : answer.record);
  });

  operatorOptions(
    provisioning
      .command('export <device>')
      .description('write the record, its signature, its proof of inclusion and what verifies them into a directory')
      .requiredOption('--out <dir>', 'the directory to write into; it is made')
      .addHelpText('after', '\nExample:\n  $ keystead provisioning export KS-0001 --out ./for-the-auditor'),
    'auditor',
  ).action(async (device: string, options: OperatorOptions & { out: string }) => {
    const layout = new Layout(options.data);
    const { record, signature, auditSeq } = await fetchRecord(device, options);
    const proof = await proofFor(layout.log, auditSeq, checkpointKeys(layout.trust));
    mkdirSync(options.out, { recursive: true });
    const base = join(options.out, `${device}.yaml`);
    writeFileSync(base, record);
    writeFileSync(`${base}.sig`, fromBase64(signature));
    writeFileSync(`${base}.proof.json`, `${JSON.stringify(proof, null, 2)}\n`);
    // Those that were in force when it was signed: a CA or a root may have another key since.
    const { evidenceSigner, server, root } = documentChain(layout, ...namedIn(record));
    for (const [name, der] of Object.entries({ root, server, 'evidence-signer': evidenceSigner })) {
      writeFileSync(join(options.out, `${name}.pem`), toPem('CERTIFICATE', der));
    }
    for (const name of LOG_FILES) copyFileSync(join(layout.trust, name), join(options.out, name));
    process.stdout.write(options.json === true ? `${JSON.stringify({ record: base })}\n` : `${base}\n`);
  });

  provisioning
    .command('verify <record>')
    .description('verify an exported record offline; exit code 3 when it does not hold')
    .option('--trust <dir>', 'directory with root.pem and the keys of the log; that of the record unless told')
    .option('--json', 'machine-readable output')
    .addHelpText('after', '\nExample:\n  $ keystead provisioning verify ./for-the-auditor/KS-0001.yaml')
    .action((path: string, options: { trust?: string; json?: boolean }) => {
      const trust = options.trust ?? dirname(path);
      const verified = verifyRecord({
        record: readFileSync(path),
        signature: readFileSync(`${path}.sig`),
        proof: JSON.parse(readFileSync(`${path}.proof.json`, 'utf8')),
        evidenceSigner: certificateIn(join(trust, 'evidence-signer.pem')),
        intermediates: [certificateIn(join(trust, 'server.pem'))],
        anchor: certificateIn(join(trust, 'root.pem')),
        logKeys: checkpointKeys(trust),
      });
      const { deviceId, date, operator, line, keyOrigin, entry } = verified;
      process.stdout.write(
        options.json === true
          ? `${JSON.stringify(verified, null, 2)}\n`
          : `${deviceId}: provisioned ${date} by ${operator} at ${line}, key ${keyOrigin}; entry ${entry.seq} of the log, ${entry.time}\n`,
      );
    });
  return provisioning;
}
