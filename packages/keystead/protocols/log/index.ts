export { createLogHandler, type LogHandler, type LogHandlerDeps } from './handler.ts';
