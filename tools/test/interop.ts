import { existsSync, readFileSync, writeFileSync } from 'node:fs';

/** Where the table stands. */
export const INTEROP_PATH = 'docs/interop.md';

/** One operation of a protocol that a foreign client did, or one verification that a foreign verifier made. */
export interface Proof {
  readonly client: string;
  readonly protocol: string;
  readonly operation: string;
}

/** What a test proves of foreign clients stands at the end of its name: `[client: PROTOCOL operation, PROTOCOL operation]`. */
const MARK = /\[([A-Za-z][^[\]:]*): ([^[\]]+)\]/g;
const OPERATION = /^([A-Z][A-Za-z0-9.-]*) (\S.*)$/;

/**
 * The proofs that the name of a test carries.
 * @throws SyntaxError for a mark that names no protocol: it would be in no table.
 */
export function proofsOf(name: string): Proof[] {
  return [...name.matchAll(MARK)].flatMap(([mark, client = '', list = '']) =>
    list.split(', ').map((text) => {
      const [, protocol, operation] = OPERATION.exec(text.trim()) ?? [];
      if (protocol === undefined || operation === undefined) throw new SyntaxError(`${mark}: '${text}' in '${name}'`);
      return { client, protocol, operation };
    }),
  );
}

/** Client by operation, a table for each protocol, in Markdown. The order is that of the alphabet, so that it is stable. */
export function interopTable(names: readonly string[]): string {
  const proofs = names.flatMap(proofsOf);
  const protocols = sortedSet(proofs.map(({ protocol }) => protocol));
  const parts = protocols.map((protocol) => {
    const own = proofs.filter((proof) => proof.protocol === protocol);
    const clients = sortedSet(own.map(({ client }) => client));
    const done = new Set(own.map(({ client, operation }) => `${operation}\n${client}`));
    const rows = sortedSet(own.map(({ operation }) => operation)).map(
      (operation) =>
        `| ${operation} | ${clients.map((client) => (done.has(`${operation}\n${client}`) ? 'yes' : '')).join(' | ')} |`,
    );
    return `## ${protocol}\n\n| operation | ${clients.join(' | ')} |\n|---|${clients.map(() => ':-:|').join('')}\n${rows.join('\n')}\n`;
  });
  return `${HEAD}\n${parts.join('\n')}`;
}

/** Puts the table in place. @returns whether it was another one before. */
export function writeInterop(names: readonly string[], path: string = INTEROP_PATH): boolean {
  const table = interopTable(names);
  const before = existsSync(path) ? readFileSync(path, 'utf8') : '';
  if (before === table) return false;
  writeFileSync(path, table);
  return true;
}

const HEAD = `# Which foreign client does what

Written by \`npm test\` from the tests that passed: each \`yes\` is a test in which that program did that operation against Keystead, or verified what Keystead made, and in which the result was checked. An empty field was not tried. A run in which this page would change fails, so it cannot claim what is no longer proven.
`;

const sortedSet = (texts: readonly string[]): string[] => [...new Set(texts)].sort((a, b) => (a < b ? -1 : 1));
