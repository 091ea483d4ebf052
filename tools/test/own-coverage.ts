/*
 * Preloaded into each test file: the file's own process records coverage, the processes that it starts do not. Some
 * are killed on purpose, and half a coverage file breaks the whole report.
 */
if (process.env.NODE_TEST_CONTEXT !== undefined) delete process.env.NODE_V8_COVERAGE;
