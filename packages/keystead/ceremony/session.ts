import { type DerCertificate, toHex } from '@keystead/core/bytes';
import type { Clock } from '@keystead/core/clock';
import { certSha256, spkiSha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { type Detail, Transcript } from '@keystead/core/lifecycle';
import { formatName, readCertificate } from '@keystead/core/x509';
import { hexGroups } from './fingerprint.ts';
import type { ScriptStep } from './script.ts';

/** How a ceremony speaks with the people in the room. */
export interface CeremonyIo {
  print(text: string): void;
  /** Asks the witnesses; false stops the ceremony. */
  confirm(question: string): Promise<boolean>;
}

/** Walks the script: shows each step to the people, waits for them, and writes down what was done. */
export class CeremonySession {
  readonly transcript: Transcript;
  readonly #steps: readonly ScriptStep[];
  readonly #io: CeremonyIo;
  readonly #attended: boolean;
  #shown = 0;

  constructor(steps: readonly ScriptStep[], io: CeremonyIo, options: { attended: boolean; clock: Clock }) {
    this.#steps = steps;
    this.#io = io;
    this.#attended = options.attended;
    this.transcript = new Transcript(options.clock);
  }

  /**
   * Shows the next step of the script and, with witnesses in the room, waits for their word.
   * @throws KeysteadError `ceremony.stopped` when they say no.
   */
  async next(): Promise<void> {
    const step = this.#steps[this.#shown];
    if (step === undefined) throw new KeysteadError('internal.unexpected', { field: 'script' });
    this.#shown += 1;
    const heading = `Step ${this.#shown} of ${this.#steps.length}. ${step.title}`;
    this.#io.print(`\n${heading}`);
    for (const line of step.what) this.#io.print(indent(line));
    if (!this.#attended) return;
    if (await this.#io.confirm('Go on with this step?')) return;
    throw new KeysteadError('ceremony.stopped', { field: heading });
  }

  /** Prints a result of the present step. */
  say(text: string): void {
    this.#io.print(indent(text));
  }

  /** Writes a line of the transcript. */
  note(step: string, detail: Detail): void {
    this.transcript.add(step, detail);
  }

  /** Shows a new certificate with its fingerprint and writes it down. */
  certified(step: string, role: string, der: DerCertificate, more: Detail = {}): void {
    const { subject, serial, spki, notBefore, notAfter } = readCertificate(der);
    const certificateSha256 = certSha256(der);
    this.say(`Done: ${formatName(subject)}, until ${notAfter.toISOString()}. SHA-256 of the certificate:`);
    this.say(hexGroups(certificateSha256, '  '));
    this.note(step, {
      role,
      subject: formatName(subject),
      serial,
      spkiSha256: spkiSha256(spki),
      certificateSha256,
      notBefore: notBefore.toISOString(),
      notAfter: notAfter.toISOString(),
      ...more,
    });
  }

  /** Shows the CRL of a root and writes it down. */
  revocationList(role: string, sha256: Uint8Array, nextUpdate: Date): void {
    this.say(`Done: CRL of the ${role}, until ${nextUpdate.toISOString()}.`);
    this.note('crl', { role, number: 1, sha256: toHex(sha256), nextUpdate: nextUpdate.toISOString() });
  }
}

const indent = (text: string): string => text.replace(/^/gm, '   ');
