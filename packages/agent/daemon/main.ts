import { Hangup } from './hangup.ts';

// Before the rest is loaded, which takes longer than systemd may take to send a reload.
const hangup = new Hangup();
const { main } = await import('./program.ts');
process.exitCode = await main(process.argv.slice(2), hangup);
