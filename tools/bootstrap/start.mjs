import { install, run } from './runtime.mjs';

install();
run('packages/keystead/cli/main.ts', ['start', ...process.argv.slice(2)]);
