#!/usr/bin/env node
// `keystead-agent` on the command line: finds the pinned runtime and runs the agent on it.
import { run } from '../../../tools/bootstrap/runtime.mjs';

run('packages/agent/daemon/main.ts', process.argv.slice(2));
