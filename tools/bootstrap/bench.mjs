import { install, run } from './runtime.mjs';

install();
run('bench/main.ts', process.argv.slice(2));
