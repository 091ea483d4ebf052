import { readConfig } from '../../files/config.ts';
import { type Check, passed, weak } from '../check.ts';

/** Old equipment may need it; nobody should have it without knowing. */
const scepOff: Check = {
  id: 'enrolment.scep-off',
  requirements: ['REQ-KEY-PROV-01'],
  text: 'nobody enrols by SCEP, which is for equipment that speaks nothing better',
  async run({ layout, httpUrl }) {
    const on = readConfig(layout).scep === true;
    const answers = await fetch(`${httpUrl}/scep?operation=GetCACaps`).then(({ ok }) => ok);
    if (!on && !answers) return passed('config.json does not switch it on, and /scep does not answer');
    const how =
      on === answers
        ? 'it is on'
        : `config.json says ${on ? 'on' : 'off'}, and serve goes by another until it is restarted`;
    return weak(
      `${how}: plain HTTP, AES-CBC and RSA PKCS #1 v1.5 without authentication, and a shared secret for a first certificate; EST, ACME and CMP have none of these (docs/scep.md)`,
    );
  },
};

export const SCEP_CHECKS: readonly Check[] = [scepOff];
