import { stdin, stdout } from 'node:process';
import { createInterface, type Interface } from 'node:readline';
import type { Answer, CeremonyIo } from './session.ts';

/**
 * The people at a terminal. One reader for the whole ceremony, so that nothing that was typed ahead is lost; only `yes`
 * and `no` are answers. Ctrl-C, Ctrl-D and a closed terminal are no answer, which stops the ceremony with a record.
 */
export class Terminal implements CeremonyIo {
  #reader: Interface | undefined;
  readonly #typed: string[] = [];
  #waiting: ((line: string | undefined) => void) | undefined;
  #gone = false;

  print(text: string): void {
    stdout.write(`${text}\n`);
  }

  async confirm(name: string, question: string): Promise<Answer> {
    for (;;) {
      const line = await this.#ask(`   ${name}, ${question} [yes/no] `);
      if (line === undefined) {
        this.print('');
        return 'gone';
      }
      const answer = line.trim().toLowerCase();
      if (answer === 'yes' || answer === 'y') return 'yes';
      if (answer === 'no' || answer === 'n') return 'no';
      this.print('   Type yes to go on, or no to stop the ceremony.');
    }
  }

  close(): void {
    this.#reader?.close();
  }

  /** One line; undefined when there will be no more. */
  #ask(prompt: string): Promise<string | undefined> {
    const reader = this.#open();
    return new Promise((resolve) => {
      const typed = this.#typed.shift();
      if (typed !== undefined) {
        stdout.write(`${prompt}${typed}\n`);
        resolve(typed);
      } else if (this.#gone) {
        resolve(undefined);
      } else {
        this.#waiting = resolve;
        reader.setPrompt(prompt);
        reader.prompt();
      }
    });
  }

  #open(): Interface {
    if (this.#reader !== undefined) return this.#reader;
    this.#reader = createInterface({ input: stdin, output: stdout, historySize: 0 });
    this.#reader.on('line', (line) => {
      if (this.#waiting === undefined) this.#typed.push(line);
      else this.#answer(line);
    });
    this.#reader.on('SIGINT', () => {
      // Whoever interrupts means all that was typed ahead, too.
      this.#typed.length = 0;
      this.#end();
    });
    this.#reader.on('close', () => this.#end());
    return this.#reader;
  }

  #answer(line: string | undefined): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.(line);
  }

  #end(): void {
    this.#gone = true;
    this.#answer(undefined);
  }
}

/** Nobody is asked. */
export const unattended: CeremonyIo = {
  print: (text) => void stdout.write(`${text}\n`),
  confirm: async () => 'yes',
};
