import { installAddon } from './addon.mjs';
import { openPassage } from './passage.mjs';
import { installPeers } from './peers.mjs';
import { install, run } from './runtime.mjs';

installPeers();
install();
installAddon();
openPassage();
run('tools/test/run.ts', process.argv.slice(2));
