import { type DerCertificate, type DerCrl, toHex } from '@keystead/core/bytes';
import type { Clock } from '@keystead/core/clock';
import { certSha256, sha256, spkiSha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { type Detail, Transcript } from '@keystead/core/lifecycle';
import { formatName, readCertificate, readCrl } from '@keystead/core/x509';
import { fingerprintRows } from './fingerprint.ts';
import type { OfflineRoot } from './hierarchy.ts';
import { askedAt, type People } from './people.ts';

/** What a person said: `gone` when the terminal was closed or interrupted before an answer. */
export type Answer = 'yes' | 'no' | 'gone';

/** How a ceremony speaks with the people in the room. */
export interface CeremonyIo {
  print(text: string): void;
  /** Asks one person by name; anything but yes stops the ceremony. */
  confirm(name: string, question: string): Promise<Answer>;
}

/** One step: what people see of it, and what it does. The script is made of the same list, so the two cannot differ. */
export interface Step {
  readonly title: string;
  readonly what: readonly string[];
  /** Every witness confirms it by name, not the administrator alone. */
  readonly critical?: boolean;
  act(session: CeremonySession): Promise<void> | void;
}

/** Walks the script: shows each step to the people, waits for them, and writes down what was done and who confirmed. */
export class CeremonySession {
  readonly transcript: Transcript;
  readonly #steps: readonly Step[];
  readonly #io: CeremonyIo;
  readonly #people: People;
  readonly #attended: boolean;
  readonly #rehearsal: boolean;
  readonly #clock: Clock;
  #shown = 0;

  constructor(
    steps: readonly Step[],
    io: CeremonyIo,
    options: { people: People; attended: boolean; rehearsal: boolean; clock: Clock },
  ) {
    this.#steps = steps;
    this.#io = io;
    this.#people = options.people;
    this.#attended = options.attended;
    this.#rehearsal = options.rehearsal;
    this.#clock = options.clock;
    this.transcript = new Transcript(options.clock);
  }

  /** Takes every step in its order. @throws KeysteadError `ceremony.stopped` and what a step throws. */
  async run(): Promise<void> {
    for (const step of this.#steps) {
      this.#shown += 1;
      await this.#confirm(step);
      await step.act(this);
    }
  }

  /** @throws KeysteadError `ceremony.stopped` when a person does not say yes. */
  async #confirm(step: Step): Promise<void> {
    const mark = this.#rehearsal ? 'REHEARSAL. ' : '';
    const place = `${this.#shown} of ${this.#steps.length}`;
    this.#io.print(`\n${mark}Step ${place}. ${step.title}`);
    for (const line of step.what) this.say(line);
    const shown = step.what.flatMap((line) => line.split('\n'));
    const by: Record<string, string> = {};
    for (const name of this.#attended ? askedAt(this.#people, step.critical === true) : []) {
      const answer = await this.#io.confirm(name, 'go on with this step?');
      if (answer === 'yes') {
        by[name] = this.#clock.now().toISOString();
        continue;
      }
      this.note('stopped', { script: place, title: step.title, shown, by, stoppedBy: name, answer });
      throw new KeysteadError('ceremony.stopped', {
        field: `Step ${place}. ${step.title}`,
        seen: `${name}: ${answer === 'no' ? 'no' : 'no answer'}`,
      });
    }
    this.note('confirmed', { script: place, title: step.title, critical: step.critical === true, shown, by });
  }

  /** Prints a result of the present step. */
  say(text: string): void {
    this.#io.print(text.replace(/^/gm, '   '));
  }

  /** Prints a hash in hex and in words. */
  fingerprint(hex: string): void {
    this.say(fingerprintRows(hex, '  '));
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
    this.fingerprint(certificateSha256);
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

  /** Shows a new root, and what the module that holds its key says of it. */
  root(root: OfflineRoot): void {
    const { custody, fips140, evidence = {} } = root.info;
    const said = Object.fromEntries(Object.entries(evidence).map(([name, value]) => [name, String(value)]));
    const lines = Object.entries(said).map(([name, value]) => `  ${name.padEnd(24)} ${value}`);
    if (lines.length > 0) this.say(`The token says of this key:\n${lines.join('\n')}`);
    this.certified('root-key', root.role, root.certificate, { custody, fips140, evidence: said });
  }

  /** Shows the CRL of a root and writes it down. */
  revocationList(role: string, crl: DerCrl): void {
    const { number, nextUpdate, entries } = readCrl(crl);
    const revoked = entries.size === 1 ? '1 certificate' : `${entries.size} certificates`;
    this.say(`Done: CRL ${number} of the ${role} with ${revoked}, until ${nextUpdate.toISOString()}.`);
    const facts = { role, number, revoked: entries.size, nextUpdate: nextUpdate.toISOString() };
    this.note('crl', { ...facts, sha256: toHex(sha256(crl)) });
  }
}
