import { install, run } from './runtime.mjs';

install();
run('packages/agent/tests/c/export-vectors.ts', process.argv.slice(2));
