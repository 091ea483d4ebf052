import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fromPem, toHex, toPem } from '@keystead/core/bytes';
import { generateSoftwareKey, sha256, softwareSigner } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { signStationOrder } from '@keystead/core/lifecycle';
import { certificationRequest } from '@keystead/core/x509';
import type { Command } from 'commander';
import { systemClock } from '../../clock/system.ts';
import { readConfig } from '../../files/config.ts';
import { durableWrite } from '../../files/durable.ts';
import { Layout } from '../../files/layout.ts';
import { readPassphrase, writeSealedPkcs8Pem } from '../../keystore/index.ts';
import type { IssuedView } from '../../protocols/rest/domain.ts';
import type { StateView } from '../../protocols/station/index.ts';
import { asSigningOperator, type OperatorOptions, operatorOptions } from '../operator.ts';
import { type SignWithOptions, signWithOptions } from '../statement-signer.ts';
import { keyPassphrase, type PlaceOptions, placeOptions, STATION_FILES, writeSettings } from './place.ts';

/** An order is carried out at once. */
const ORDER_MS = 3_600_000;

interface EnrolOptions extends OperatorOptions, SignWithOptions, PlaceOptions {
  csr?: string;
  url?: string;
  site?: string;
}

/** `keystead station enrol` and `request`: a station gets its certificate. REQ-KEY-PROV-01 */
export function enrolCommands(station: Command): void {
  placeOptions(station.command('request <name>'))
    .description('make the key of a station on its own PC, and print its request: the key never leaves that PC')
    .addHelpText('after', '\nExample:\n  $ keystead station request st-3.line-1.plant.example > st-3.csr')
    .action(async (name: string, options: PlaceOptions) => {
      process.stdout.write(toPem('CERTIFICATE REQUEST', await makeKey(name, options)));
    });
  placeOptions(signWithOptions(operatorOptions(station.command('enrol <name>'), 'pki')))
    .description('sign that a station shall have a certificate, get it, and write what the station needs into --dir')
    .option('--csr <file>', 'the request that the station made itself; without it the key is made here')
    .option('--url <url>', 'where the station reaches the node; as this machine does unless told')
    .addHelpText(
      'after',
      `
Examples:
  $ keystead station enrol st-3.line-1.plant.example --dir ./st-3 --key-passphrase-file ./st-3.pass
  $ keystead station enrol st-3.line-1.plant.example --dir ./st-3 --csr st-3.csr --url https://node.plant.example:8443`,
    )
    .action(enrol);
}

async function makeKey(name: string, options: PlaceOptions): Promise<Uint8Array> {
  const { dir } = options;
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const path = join(dir, STATION_FILES.key);
  if (existsSync(path)) throw new KeysteadError('keystore.exists', { field: path });
  using passphrase = await readPassphrase(keyPassphrase(options));
  const { pkcs8 } = generateSoftwareKey('P-256');
  try {
    await writeSealedPkcs8Pem(path, pkcs8, passphrase);
    return await certificationRequest(name, softwareSigner('P-256', pkcs8));
  } finally {
    pkcs8.wipe();
  }
}

async function enrol(name: string, options: EnrolOptions): Promise<void> {
  const { dir, csr: file } = options;
  const layout = new Layout(options.data);
  const { host, ports } = readConfig(layout);
  const csr = file === undefined ? await makeKey(name, options) : requestIn(file);
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const issued = await asSigningOperator(options, async (client, signer) => {
    const { factory } = await client.get<Pick<StateView, 'factory'>>('/api/v1/stations');
    const now = Math.floor(systemClock.now().getTime() / 1000) * 1000;
    const second = (ms: number): string => new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z');
    const validity = { notBefore: second(now), notAfter: second(now + ORDER_MS) };
    const draft = { factory, station: name, csrSha256: toHex(sha256(csr)), ...validity };
    const order = await signStationOrder(draft, options.as, signer());
    const body = { station: name, csr: toPem('CERTIFICATE REQUEST', csr), order };
    return client.post<IssuedView>('/api/v1/station-certificates', body);
  });
  durableWrite(join(dir, STATION_FILES.certificate), `${issued.certificate}${issued.chain}`, 0o644);
  durableWrite(join(dir, STATION_FILES.anchor), readFileSync(join(layout.trust, 'root.pem')), 0o644);
  writeSettings(dir, { station: name, url: options.url ?? `https://${host}:${ports.https}` });
  const { serial, notAfter } = issued;
  const report = { station: name, dir, serial, notAfter };
  process.stdout.write(
    options.json === true
      ? `${JSON.stringify(report)}\n`
      : `${name}: certificate ${serial} until ${notAfter} in ${dir}\n`,
  );
}

/** @throws KeysteadError `csr.not-der`. */
function requestIn(file: string): Uint8Array {
  const [csr] = fromPem('CERTIFICATE REQUEST', readFileSync(file, 'latin1'));
  if (csr === undefined) throw new KeysteadError('csr.not-der', { field: file, seen: 'no PEM request' });
  return csr;
}
