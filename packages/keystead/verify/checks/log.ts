import { type Check, failed, passed } from '../check.ts';
import { verifyHistory } from '../history.ts';

/** REQ-KEY-AUD-01: the history is proven from its files alone. */
const history: Check = {
  id: 'audit.log',
  requirements: ['REQ-KEY-AUD-01'],
  text: 'the audit log verifies from its files alone: every entry, every checkpoint, no fork',
  async run({ layout }) {
    const report = await verifyHistory(layout);
    return report.verdict === 'proven'
      ? passed(`${report.entries.checked} entries, ${report.checkpoints.archived} checkpoints`)
      : failed(report.firstBad?.why ?? report.findings.map((one) => one.detail ?? one.fault).join('; '));
  },
};

export const LOG_CHECKS: readonly Check[] = [history];
