import type { Readable } from 'node:stream';

/** What a scanner that went mad has sent is cut off here. */
const MOST_LINE = 1024;

/** The lines of a scanner, a keyboard or a pipe, one at a time; what comes meanwhile waits. */
export class ScannerLines {
  readonly #lines: string[] = [];
  #rest = '';
  #ended = false;
  #wake: () => void = () => {};

  /** @param signal ends the lines before their end. */
  constructor(input: Readable, signal: AbortSignal) {
    input.setEncoding('utf8');
    input.on('data', (text: string) => this.#take(text));
    for (const event of ['end', 'close', 'error'] as const) input.on(event, () => this.#end());
    signal.addEventListener('abort', () => this.#end(), { once: true });
    if (signal.aborted) this.#end();
  }

  /** The next line without its end, blanks around it taken off; undefined when there is none any more. */
  async next(): Promise<string | undefined> {
    while (this.#lines.length === 0 && !this.#ended) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return this.#lines.shift();
  }

  #take(text: string): void {
    const parts = `${this.#rest}${text}`.split('\n');
    this.#rest = (parts.pop() ?? '').slice(0, MOST_LINE);
    this.#lines.push(...parts.map((line) => line.slice(0, MOST_LINE).trim()));
    this.#wake();
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    if (this.#rest.trim() !== '') this.#lines.push(this.#rest.trim());
    this.#rest = '';
    this.#wake();
  }
}
