export {
  createOcspHandler,
  type OcspAnswerer,
  type OcspHandler,
  type OcspHandlerDeps,
  type StatusListener,
} from './handler.ts';
export { type OcspReply, OcspResponder, type OcspResponderOptions, type OcspSigner } from './responder.ts';
