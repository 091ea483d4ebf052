import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { deviceCsr, type ShownTpm, TpmDevice } from '@keystead/agent';
import { toBase64 } from '@keystead/core/bytes';
import type { Clock } from '@keystead/core/clock';
import type { Policy } from '@keystead/core/lifecycle';
import { Tpm } from '@keystead/tpm2';
import { Swtpm } from '../../../tpm2/tests/swtpm.ts';
import type { Params } from '../../keyd-client/index.ts';

export type ShownParams = Pick<
  Params<'challengeAttestation'>,
  'ekCertificate' | 'ekPublic' | 'akPublic' | 'keyPublic' | 'attest' | 'signature'
>;

/** A device with a TPM of its own, which swtpm_setup has manufactured: its maker is a CA of its own. */
export class TpmMachine {
  readonly swtpm: Swtpm;
  readonly tpm: Tpm;
  readonly device: TpmDevice;
  readonly shown: ShownTpm;
  readonly #work: string;

  private constructor(swtpm: Swtpm, tpm: Tpm, device: TpmDevice, shown: ShownTpm, work: string) {
    this.swtpm = swtpm;
    this.tpm = tpm;
    this.device = device;
    this.shown = shown;
    this.#work = work;
  }

  static async start(clock: Clock): Promise<TpmMachine> {
    const swtpm = await Swtpm.start({ certificates: true });
    const work = mkdtempSync(join(tmpdir(), 'keystead-tpm-machine-'));
    const tpm = await Tpm.open(swtpm.address);
    const device = await TpmDevice.create(join(work, 'tpm'), tpm, { clock });
    return new TpmMachine(swtpm, tpm, device, await device.shown(), work);
  }

  /** A policy that believes this maker. */
  maker(required = false): NonNullable<Policy['attestation']> {
    const { issuer, root } = this.swtpm.authorities();
    return { required, anchors: [toBase64(root)], intermediates: [toBase64(issuer)] };
  }

  /** What the device shows, as keyd takes it. */
  params(): ShownParams {
    const { statement, ...keys } = this.shown;
    return { ...keys, attest: statement.attest, signature: statement.signature };
  }

  /** A second identity in the same TPM. */
  another(name: string, clock: Clock): Promise<TpmDevice> {
    return TpmDevice.create(join(this.#work, name), this.tpm, { clock });
  }

  /** The request of this device, signed in the TPM. */
  csr(deviceId: string): Promise<Uint8Array> {
    return deviceCsr(deviceId, this.device.signer());
  }

  /** What the TPM finds in a credential. */
  async answer(made: { idObject: Uint8Array; encryptedSecret: Uint8Array }): Promise<Uint8Array> {
    using secret = await this.device.activate(made);
    return secret.use((bytes) => Uint8Array.from(bytes));
  }

  async stop(): Promise<void> {
    await this.tpm.close();
    await this.swtpm.stop();
    rmSync(this.#work, { recursive: true });
  }
}
