import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { toPem } from '@keystead/core/bytes';
import { type CeremonyBundle, parseBundle } from '@keystead/core/lifecycle';
import { type FirmwareCeremonyOptions, holdFirmware } from '../../ceremony/firmware.ts';
import { holdIntermediate, type IntermediateOptions } from '../../ceremony/intermediate.ts';
import type { LaterOptions } from '../../ceremony/options.ts';
import { type CrlOptions, holdCrl } from '../../ceremony/revocation-lists.ts';
import { holdRollover } from '../../ceremony/rollover.ts';
import type { CeremonyIo } from '../../ceremony/session.ts';
import { passphrase } from '../../ceremony/tests/rehearsal.ts';
import { verifyCeremony } from '../../ceremony/verify.ts';
import { requestFirmware } from '../firmware-request.ts';
import type { CeremonyPins } from '../hierarchy.ts';
import { importLater } from '../later-import.ts';
import { requestRenewal, type WantedCertificate } from '../renewal-request.ts';
import { KEYD_PASSPHRASE, type KeydBed } from './bed.ts';

export const silent: CeremonyIo = { print() {}, confirm: async () => 'yes' };

/** The ceremonies after the founding of one keyd, which is stopped for each import. */
export class LaterCeremonies {
  readonly bed: KeydBed;
  /** The outputs of each ceremony in their order; the founding first. */
  readonly dirs: string[];

  constructor(bed: KeydBed) {
    this.bed = bed;
    this.dirs = [bed.rehearsal.layout.ceremony];
  }

  get latest(): string {
    return this.dirs.at(-1) ?? '';
  }

  out(name: string): string {
    return join(this.bed.rehearsal.dir, name);
  }

  bundle(dir = this.latest): CeremonyBundle {
    return parseBundle(readFileSync(join(dir, 'bundle.json')));
  }

  /** Options of a ceremony that follows `previous`. */
  options(name: string, previous = this.latest): LaterOptions {
    const { request: _request, policy: _policy, ...common } = this.bed.rehearsal.options({ out: this.out(name) });
    return { ...common, previous };
  }

  async request(wanted: WantedCertificate): Promise<Uint8Array> {
    const { layout } = this.bed.rehearsal;
    return Buffer.from(await requestRenewal(layout, passphrase(KEYD_PASSPHRASE), this.bed.clock, wanted));
  }

  /** Holds a ceremony a day later, and verifies it as an auditor does. Nothing is imported. */
  async held(name: string, hold: (options: LaterOptions) => Promise<unknown>): Promise<string> {
    this.bed.clock.advance(86_400);
    const options = this.options(name);
    await hold(options);
    const bad = verifyCeremony(options.out, { previous: options.previous }).filter(
      ({ verdict }) => verdict === 'failed',
    );
    if (bad.length > 0) throw new Error(JSON.stringify(bad));
    this.dirs.push(options.out);
    return options.out;
  }

  async intermediate(
    name: string,
    wanted: WantedCertificate,
    more: Partial<IntermediateOptions> = {},
  ): Promise<string> {
    const request = await this.request(wanted);
    return this.held(name, (options) => holdIntermediate({ ...options, request, ...more }, silent));
  }

  /** Certifies keys for firmware under the policy in force. @param ids none for all that are uncertified. */
  async firmware(
    name: string,
    ids: readonly string[],
    more: Partial<FirmwareCeremonyOptions> & { readonly policy: Uint8Array },
  ): Promise<string> {
    const request = more.request ?? (await this.firmwareRequest(ids));
    return this.held(name, (options) => holdFirmware({ ...options, ...more, request }, silent));
  }

  async firmwareRequest(ids: readonly string[]): Promise<Uint8Array> {
    const { layout } = this.bed.rehearsal;
    return Buffer.from(await requestFirmware(layout, passphrase(KEYD_PASSPHRASE), this.bed.clock, ids));
  }

  crl(name: string, revoke?: CrlOptions['revoke']): Promise<string> {
    return this.held(name, (options) => holdCrl({ ...options, revoke }, silent));
  }

  rollover(name: string, root: 'root' | 'signing-root' = 'root'): Promise<string> {
    return this.held(name, (options) => holdRollover({ ...options, root }, silent));
  }

  import(from = this.latest): Promise<CeremonyPins> {
    const { layout } = this.bed.rehearsal;
    return importLater(layout, this.bed.clock, { from, passphrase: async () => passphrase(KEYD_PASSPHRASE) });
  }

  /** Imports the last ceremony and starts keyd again. */
  async take(): Promise<CeremonyPins> {
    await this.bed.stop();
    const pins = await this.import();
    await this.bed.start();
    return pins;
  }

  /** Writes certificates as one PEM file, and gives its path. */
  pem(name: string, ...ders: readonly Uint8Array[]): string {
    const path = this.out(`${name}.pem`);
    writeFileSync(path, ders.map((der) => toPem('CERTIFICATE', der)).join(''));
    return path;
  }

  crlPem(name: string, ...ders: readonly Uint8Array[]): string {
    const path = this.out(`${name}.crl.pem`);
    writeFileSync(path, ders.map((der) => toPem('X509 CRL', der)).join(''));
    return path;
  }

  /** `openssl verify` at the simulated time. @returns what it printed. @throws when it does not verify. */
  verify(...args: string[]): string {
    const at = String(Math.floor(this.bed.clock.now().getTime() / 1000));
    return execFileSync('openssl', ['verify', '-x509_strict', '-attime', at, ...args], {
      encoding: 'utf8',
      stdio: 'pipe',
    });
  }
}
