import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Where an id stands: a path from the project's root, and a line number from 1. */
export interface Mention {
  readonly id: string;
  readonly path: string;
  readonly line: number;
}

/** A test whose name carries a TEST-KEY id. */
export interface NamedTest extends Mention {
  readonly name: string;
}

const SOURCES = ['packages/**/*.ts', 'tests/**/*.ts'];
const isTest = (path: string): boolean => path.endsWith('.test.ts');

function sourceFiles(root: string): string[] {
  return globSync(SOURCES, { cwd: root, exclude: (name) => name === 'node_modules' }).sort();
}

/** The lines that stand inside a doc comment: only there does code claim a requirement. */
function* docCommentLines(text: string): Generator<[line: number, text: string]> {
  let inside = false;
  for (const [index, line] of text.split('\n').entries()) {
    if (line.includes('/**')) inside = true;
    if (inside) yield [index + 1, line];
    if (line.includes('*/')) inside = false;
  }
}

/** Every REQ-KEY id in a doc comment of code that is not a test. */
export function scanCode(root: string): Mention[] {
  const mentions: Mention[] = [];
  for (const path of sourceFiles(root)) {
    if (isTest(path)) continue;
    for (const [line, text] of docCommentLines(readFileSync(join(root, path), 'utf8'))) {
      for (const [id] of text.matchAll(/REQ-KEY-[A-Z]+-\d+/g)) mentions.push({ id, path, line });
    }
  }
  return mentions;
}

/** Every TEST-KEY id in the name of a test; the name is the string given to `test`, `it`, `describe` or `suite`. */
export function scanTests(root: string): NamedTest[] {
  const named: NamedTest[] = [];
  for (const path of sourceFiles(root)) {
    if (!isTest(path)) continue;
    const text = readFileSync(join(root, path), 'utf8');
    for (const match of text.matchAll(/\b(?:test|it|describe|suite)\(\s*(['"`])((?:\\.|(?!\1)[^\\])*)\1/g)) {
      const name = (match[2] ?? '').replace(/\\(.)/g, '$1');
      const line = text.slice(0, match.index).split('\n').length;
      for (const [id] of name.matchAll(/TEST-KEY-\d+/g)) named.push({ id, path, line, name });
    }
  }
  return named;
}
