export { CrlDirectory, type ServedCrl } from './directory.ts';
export { type CrlHandler, type CrlHandlerDeps, createCrlHandler } from './handler.ts';
