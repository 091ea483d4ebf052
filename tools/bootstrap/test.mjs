import { installAddon } from './addon.mjs';
import { installPeers } from './peers.mjs';
import { install, run } from './runtime.mjs';

installPeers();
install();
installAddon();
run('tools/test/run.ts', process.argv.slice(2));
