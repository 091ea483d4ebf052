import { parseArgs } from 'node:util';
import { auditFigures } from './audit.ts';
import { Bench } from './bench.ts';
import { crlFigures } from './crl.ts';
import { enrolFigures } from './enrol.ts';
import { type Figure, formatFigures } from './figure.ts';
import { filterFigures } from './filter.ts';
import { firmwareFigures } from './firmware.ts';
import { issueFigures } from './issue.ts';
import { moduliFigures } from './moduli.ts';
import { ocspFigures } from './ocsp.ts';
import { pkcs11Figures } from './pkcs11.ts';
import { provisionFigures } from './provision.ts';
import { Rig } from './rig.ts';
import { signFigures } from './sign.ts';

/** In this order: issue and crl need keyd alone, and moduli nothing. */
const PARTS: Readonly<Record<string, (bench: Bench, rig: Rig) => Promise<Figure[]>>> = {
  audit: auditFigures,
  pkcs11: pkcs11Figures,
  provision: provisionFigures,
  filter: filterFigures,
  sign: signFigures,
  firmware: firmwareFigures,
  enrol: enrolFigures,
  ocsp: ocspFigures,
  issue: issueFigures,
  crl: crlFigures,
  moduli: moduliFigures,
};

const USAGE = `npm run bench -- [--json] [--quick] [--only part,part] [--moduli n] [--group n]
  --json   the figures as a JSON array on standard output
  --quick  short rounds, under a minute: to see that it works
  --only   of the parts ${Object.keys(PARTS).join(', ')}
  --moduli how many the part of that name compares
  --group  how many of them at once: more is faster and takes more memory
`;

const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    quick: { type: 'boolean', default: false },
    only: { type: 'string' },
    moduli: { type: 'string' },
    group: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});
const only = values.only?.split(',') ?? Object.keys(PARTS);
const unknown = only.find((name) => !(name in PARTS));
const [moduli, group] = [values.moduli, values.group].map((text) => (text === undefined ? undefined : Number(text)));
const miscounted = [moduli, group].some((count) => count !== undefined && !(Number.isInteger(count) && count > 1));
if (values.help || unknown !== undefined || miscounted) {
  process.stderr.write(unknown === undefined ? USAGE : `bench: there is no part ${unknown}\n${USAGE}`);
  process.exit(values.help ? 0 : 2);
}

const started = performance.now();
const note = (text: string): void => {
  process.stderr.write(`${((performance.now() - started) / 1000).toFixed(1).padStart(6)} s  ${text}\n`);
};
const bench = new Bench({ quick: values.quick, moduli, group, note });
let stopping = false;
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.once(signal, async () => {
    stopping = true;
    await bench.close();
    process.exit(130);
  });
}
try {
  const rig = new Rig(bench);
  const figures: Figure[] = [];
  for (const [name, part] of Object.entries(PARTS)) {
    if (only.includes(name)) figures.push(...(await part(bench, rig)));
  }
  process.stdout.write(values.json ? `${JSON.stringify(figures, null, 2)}\n` : `${formatFigures(figures)}\n`);
} catch (error) {
  // What a signal tears down fails, and is not worth a word.
  if (!stopping) throw error;
} finally {
  if (!stopping) await bench.close();
}
