export { RESULTS_PATH, readResults, type TestResults, type Trace, type TraceRow, trace } from './matrix.ts';
export { formatTrace, traceMarkdown } from './print.ts';
