import { styleText } from 'node:util';
import type { OutcomeView, StateView } from '../../protocols/station/index.ts';

/** Letters that are read from across the line: five rows each. */
const LETTERS: Readonly<Record<string, readonly string[]>> = {
  P: ['█████ ', '██  ██', '█████ ', '██    ', '██    '],
  A: [' ████ ', '██  ██', '██████', '██  ██', '██  ██'],
  S: [' █████', '██    ', ' ████ ', '    ██', '█████ '],
  F: ['██████', '██    ', '█████ ', '██    ', '██    '],
  I: ['██████', '  ██  ', '  ██  ', '  ██  ', '██████'],
  L: ['██    ', '██    ', '██    ', '██    ', '██████'],
  W: ['██   ██', '██   ██', '██ █ ██', '███ ███', '██   ██'],
  T: ['██████', '  ██  ', '  ██  ', '  ██  ', '  ██  '],
};

/** A word in large letters. */
export const large = (word: string): string =>
  [0, 1, 2, 3, 4]
    .map((row) =>
      [...word]
        .map((letter) => LETTERS[letter]?.[row] ?? '')
        .join('  ')
        .trimEnd(),
    )
    .join('\n');

/** What is told of one unit. */
export interface UnitTold {
  readonly deviceId: string;
  readonly outcome: OutcomeView;
  /** What else is known, for whoever is called. */
  readonly detail?: string;
  readonly requestId?: string;
  readonly serial?: string;
  readonly certificate?: string;
  /** From the scan to the result. */
  readonly seconds?: number;
}

/** Where a station shows what it does. */
export interface Screen {
  /** Who is signed on, and what is to be done. */
  ready(state: StateView, queued: number): void;
  /** A unit is being worked on. */
  working(deviceId: string): void;
  /** A unit that waits for the node: once for each thing that it waits for. */
  waiting(told: UnitTold): void;
  result(told: UnitTold, state: StateView | undefined): void;
  note(text: string): void;
}

const WORDS = { pass: 'PASS', fail: 'FAIL', retry: 'WAIT' } as const;
const COLOURS = { pass: 'green', fail: 'red', retry: 'yellow' } as const;
/** One for a pass, three for a fail: heard without looking. */
const BELLS = { pass: '\u0007', fail: '\u0007\u0007\u0007', retry: '' } as const;

/** For people: large, in colours and with a bell where it is a terminal, plain text where it is not. */
export class PeopleScreen implements Screen {
  readonly #out: NodeJS.WriteStream;

  constructor(out: NodeJS.WriteStream) {
    this.#out = out;
  }

  ready(state: StateView, queued: number): void {
    this.#print([...header(state), ...batches(state), ...left(queued), 'Scan or type a device id.']);
  }

  working(deviceId: string): void {
    if (this.#out.isTTY === true) this.#print([`… ${deviceId}`]);
  }

  waiting(told: UnitTold): void {
    this.#show(told, undefined);
  }

  result(told: UnitTold, state: StateView | undefined): void {
    this.#show(told, state);
  }

  note(text: string): void {
    this.#print([text]);
  }

  #show({ deviceId, outcome, detail, requestId }: UnitTold, state: StateView | undefined): void {
    const { result, what, todo, code, name } = outcome;
    const word = large(WORDS[result]);
    const tty = this.#out.isTTY === true;
    const loud = tty ? styleText(['bold', COLOURS[result]], word, { stream: this.#out, validateStream: true }) : word;
    const known = [`code ${code} ${name}`, detail, requestId === undefined ? undefined : `request ${requestId}`];
    const more = result === 'pass' ? [] : [known.filter((one) => one !== undefined).join('; ')];
    const counted = state === undefined ? [] : counts(state);
    if (tty) this.#out.write(`\u001b[2J\u001b[H${BELLS[result]}`);
    this.#print([
      ...(tty && state !== undefined ? header(state) : []),
      '',
      loud,
      '',
      `  ${deviceId}`,
      `  ${what}`,
      `  ${todo}`,
    ]);
    this.#print([...more.map((text) => `  (${text})`), ...counted, '']);
  }

  #print(lines: readonly string[]): void {
    this.#out.write(lines.map((line) => `${line}\n`).join(''));
  }
}

const header = ({ station, factory, signedOn }: StateView): string[] => [
  `${station} at ${factory}: ${
    signedOn === null
      ? 'nobody is signed on'
      : `${signedOn.line}, ${signedOn.operator} until ${signedOn.until.slice(11, 16)} UTC`
  }`,
];

const batches = ({ batches: open }: StateView): string[] =>
  open.length === 0
    ? ['No batch is open for this line.']
    : open.map(
        ({ ticketId, model, left: rest, quota, from, to }) =>
          `${ticketId}: ${model}, ${from} to ${to}, ${rest} of ${quota} left`,
      );

const left = (queued: number): string[] =>
  queued === 0
    ? []
    : [`${queued} unit${queued === 1 ? '' : 's'} of before ${queued === 1 ? 'is' : 'are'} finished first.`];

const counts = (state: StateView): string[] => {
  const { hour, shift } = state.counts;
  return [
    '',
    `  last hour ${hour.pass} pass, ${hour.fail} fail; since sign-on ${shift.pass} pass, ${shift.fail} fail`,
    ...batches(state).map((text) => `  ${text}`),
  ];
};

/** For a rig: one line of JSON for each unit, and nothing else on standard output. */
export class JsonScreen implements Screen {
  readonly #out: NodeJS.WritableStream;

  constructor(out: NodeJS.WritableStream) {
    this.#out = out;
  }

  ready(): void {}
  working(): void {}
  waiting(): void {}
  note(text: string): void {
    process.stderr.write(`${text}\n`);
  }

  result({ outcome, ...told }: UnitTold, state: StateView | undefined): void {
    const rest =
      state === undefined
        ? {}
        : {
            hour: state.counts.hour,
            batches: state.batches.map(({ ticketId, left: units }) => ({ ticketId, left: units })),
          };
    this.#out.write(`${JSON.stringify({ ...outcome, ...told, ...rest })}\n`);
  }
}
