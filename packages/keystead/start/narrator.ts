import { stdout } from 'node:process';
import cliProgress from 'cli-progress';

/**
 * Tells the story on a terminal: numbered steps, what each is for, progress bars; as plain lines when the
 * output is a file or a pipe. Colours only on a terminal and not under NO_COLOR (no-color.org).
 */
export class Narrator {
  readonly #terminal = stdout.isTTY === true;
  readonly #colour = stdout.isTTY === true && process.env.NO_COLOR === undefined;

  #paint(code: string, text: string): string {
    return this.#colour ? `\u001b[${code}m${text}\u001b[0m` : text;
  }

  title(text: string): void {
    this.line(`\n${this.#paint('1', text)}\n`);
  }

  /** Opens a step of the story and says why it is there. */
  step(number: number, heading: string, why: string): void {
    this.line(`\n${this.#paint('1;36', `${number}. ${heading}`)}\n${this.#paint('2', wrap(why, 96, '   '))}`);
  }

  done(text: string): void {
    this.line(`   ${this.#paint('32', 'ok')}  ${text}`);
  }

  note(text: string): void {
    this.line(`       ${text}`);
  }

  refused(text: string): void {
    this.line(`   ${this.#paint('33', 'no')}  ${text}`);
  }

  warn(text: string): void {
    this.line(`   ${this.#paint('1;31', '!!')}  ${text}`);
  }

  line(text: string): void {
    stdout.write(`${text}\n`);
  }

  /** A table with aligned columns; the first row is the head. */
  table(rows: readonly (readonly string[])[]): void {
    const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)));
    for (const [index, row] of rows.entries()) {
      const text = row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd();
      this.line(`       ${index === 0 ? this.#paint('2', text) : text}`);
    }
  }

  /** A bar on a terminal; elsewhere a line each time a tenth is done. */
  progress(label: string, total: number): { step(): void; stop(): void } {
    if (this.#terminal) {
      const bar = new cliProgress.SingleBar(
        { format: `       ${label} [{bar}] {value}/{total}`, barsize: 30, hideCursor: true, clearOnComplete: true },
        cliProgress.Presets.legacy,
      );
      bar.start(total, 0);
      return { step: () => bar.increment(), stop: () => bar.stop() };
    }
    const every = Math.max(1, Math.ceil(total / 10));
    let done = 0;
    const step = (): void => {
      done += 1;
      if (done % every === 0 || done === total) this.line(`       ${label} ${done}/${total}`);
    };
    return { step, stop: () => {} };
  }
}

function wrap(text: string, width: number, indent: string): string {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else {
      line = line === '' ? word : `${line} ${word}`;
    }
  }
  return [...lines, line].map((one) => `${indent}${one}`).join('\n');
}
