import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { makeVectors } from './make-vectors.ts';
import { vectorHeader } from './vector-header.ts';
import { readVectors, VECTORS, vectorText } from './vector-set.ts';

/**
 * usage: npm run vectors -- DIRECTORY    writes vectors.h, of the vectors that stand in packages/agent/c/vectors
 *        npm run vectors -- --new        makes these anew, with new keys
 */
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { new: { type: 'boolean', default: false } },
});
const [directory] = positionals;
if (positionals.length > 1 || (directory === undefined) === !values.new) {
  process.stderr.write('usage: npm run vectors -- DIRECTORY, or npm run vectors -- --new\n');
  process.exit(2);
}
if (values.new) writeFileSync(VECTORS, vectorText(await makeVectors()));
if (directory !== undefined) {
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, 'vectors.h'), vectorHeader(readVectors()));
}
