import { install, run } from './runtime.mjs';

install();
run('bench/fleet/main.ts', process.argv.slice(2));
