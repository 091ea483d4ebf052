#!/usr/bin/env node
// `keystead` on the command line: finds the pinned runtime and runs the program on it.
import { run } from '../../../tools/bootstrap/runtime.mjs';

run('packages/keystead/cli/main.ts', process.argv.slice(2));
