import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * The greatest stack of each function, bytes, with all that it calls: from the call graphs that gcc writes (`.ci`,
 * -fcallgraph-info=su). What the device's own cryptography takes beyond it is not known here.
 * @throws TypeError for a function that calls itself, at whatever remove, or whose stack has no bound.
 */
export function greatestStack(directory: string): ReadonlyMap<string, number> {
  const own = new Map<string, number>();
  const calls = new Map<string, Set<string>>();
  for (const file of globSync(join(directory, '*.ci'))) {
    const graph = readFileSync(file, 'utf8');
    for (const [, title = '', label = ''] of graph.matchAll(/^node: \{ title: "([^"]+)" label: "([^"]*)"/gm)) {
      const bytes = /\\n(\d+) bytes \((static|dynamic,bounded|dynamic)\)/.exec(label);
      if (bytes === null) continue;
      if (bytes[2] !== 'static') throw new TypeError(`${title} has a stack without a bound`);
      own.set(title, Number(bytes[1]));
    }
    for (const [, from = '', to = ''] of graph.matchAll(/^edge: \{ sourcename: "([^"]+)" targetname: "([^"]+)"/gm)) {
      calls.set(from, (calls.get(from) ?? new Set()).add(to));
    }
  }
  const open = new Set<string>();
  const deepest = (title: string): number => {
    if (open.has(title)) throw new TypeError(`${title} calls itself`);
    open.add(title);
    const below = Math.max(0, ...[...(calls.get(title) ?? [])].map(deepest));
    open.delete(title);
    return (own.get(title) ?? 0) + below;
  };
  return new Map([...own.keys()].filter((title) => title.startsWith('ks_')).map((title) => [title, deepest(title)]));
}
