import type { ExportReport } from '../verify/export/check.ts';
import { statementField } from '../verify/export/statement.ts';
import { table } from './operator.ts';

/** What the verification of an export found, for people: what fails and why, what the batch is, how many. */
export function exportPage(report: ExportReport): string {
  const { failures, failed, proven, records, statement, unitsByKeyOrigin, unitsInLog } = report;
  const parts: string[] = [];
  if (failures.length > 0) {
    parts.push(table([['file', 'code', 'why'], ...failures.map(({ file, code, why }) => [file, code, why])]));
    if (failed > failures.length) parts.push(`and ${failed - failures.length} more`);
  }
  const origins = Object.entries(unitsByKeyOrigin).sort(([a], [b]) => (a < b ? -1 : 1));
  if (origins.length > 0) {
    parts.push(table([['key', 'units'], ...origins.map(([origin, units]) => [origin, String(units)])]));
  }
  if (statement !== undefined) {
    const field = (name: string): string => statementField(statement, name);
    parts.push(
      `batch ${field('ticket')}: ${field('units_made')} of ${field('quota')} units made; ${field('ids_never_made')} ids of the range never made`,
    );
  }
  if (unitsInLog !== undefined) parts.push(`the log has ${unitsInLog} units of this batch`);
  parts.push(`${failed === 0 ? 'PROVEN' : 'NOT PROVEN'}: ${proven} of ${records} records`);
  return parts.join('\n\n');
}
