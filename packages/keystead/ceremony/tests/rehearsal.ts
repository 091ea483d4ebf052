import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Clock } from '@keystead/core/clock';
import { generateSoftwareKey, SecretBytes } from '@keystead/core/crypto';
import { type DemoPolicyOptions, demoPolicy, formatPolicy } from '@keystead/core/lifecycle';
import { systemClock } from '../../clock/system.ts';
import { Layout } from '../../files/layout.ts';
import type { NetworkState } from '../../host/network.ts';
import { initKeyd } from '../../keyd/init.ts';
import type { CeremonyResult, FoundingOptions } from '../options.ts';
import { runCeremony } from '../run.ts';

export const NO_NETWORK: NetworkState = { interfaces: [], routes: [] };
export const PASSPHRASE = 'correct horse battery staple';
export const passphrase = (text = PASSPHRASE): SecretBytes => SecretBytes.take(new TextEncoder().encode(text));

/** A keyd that waits for its ceremony, in a temporary directory, with a policy beside it. */
export class Rehearsal {
  readonly dir = mkdtempSync(join(tmpdir(), 'keystead-ceremony-'));
  readonly layout: Layout;
  readonly policyPath: string;
  /** All that was printed for people. */
  readonly printed: string[] = [];
  readonly clock: Clock;

  private constructor(clock: Clock) {
    this.layout = new Layout(join(this.dir, 'data'));
    this.policyPath = join(this.dir, 'policy.json');
    this.clock = clock;
  }

  /** @param prepare called before keyd makes its keys: where they are to live may be written down then. */
  static async make(
    policy: Partial<DemoPolicyOptions> = {},
    clock: Clock = systemClock,
    prepare: (layout: Layout) => void = () => {},
  ): Promise<Rehearsal> {
    const rehearsal = new Rehearsal(clock);
    prepare(rehearsal.layout);
    await initKeyd(rehearsal.layout, passphrase('the passphrase of keyd'), clock, {
      origin: 'rehearsal.example/log',
      firmware: policy.firmware?.keys,
    });
    const operator = { name: 'ada', roles: ['ca-operator'], spki: generateSoftwareKey('P-256').spki } as const;
    const urls = {
      crl: 'http://localhost:8080/crl/{ca}.crl',
      ocsp: 'http://localhost:8080/ocsp/{ca}',
      caIssuers: 'http://localhost:8080/ca/{ca}.cer',
    };
    const text = formatPolicy(demoPolicy({ operators: [operator], issued: clock.now(), urls, ...policy }));
    writeFileSync(rehearsal.policyPath, text);
    return rehearsal;
  }

  get requestPath(): string {
    return join(this.layout.ceremony, 'request.json');
  }

  options(more: Partial<FoundingOptions> = {}): FoundingOptions {
    return {
      request: readFileSync(this.requestPath),
      policy: readFileSync(this.policyPath),
      out: this.layout.ceremony,
      offline: this.layout.offline,
      passphrase: passphrase(),
      witnesses: ['Ada Lovelace', 'Grace Hopper'],
      acceptNetwork: false,
      // Only where that is allowed is nobody asked.
      unattended:
        (JSON.parse(readFileSync(this.policyPath, 'utf8')) as { demonstration?: boolean }).demonstration === true,
      clock: this.clock,
      software: 'keystead test',
      network: () => NO_NETWORK,
      ...more,
    };
  }

  run(more: Partial<FoundingOptions> = {}): Promise<CeremonyResult> {
    return runCeremony(this.options(more), {
      print: (text) => void this.printed.push(text),
      confirm: async () => 'yes',
    });
  }

  /** A file that the ceremony wrote. */
  output(name: string): Buffer {
    return readFileSync(join(this.layout.ceremony, name));
  }

  remove(): void {
    rmSync(this.dir, { recursive: true, force: true });
  }
}
