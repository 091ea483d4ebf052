import { install, run } from './runtime.mjs';

// The long form of the line simulator: fifty times as many blows as in the ordinary run.
process.env.KEYSTEAD_LINE_BLOWS ??= '300';
install();
run('tests/line/line.test.ts', process.argv.slice(2), ['--test']);
