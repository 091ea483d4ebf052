export { connectMutual, type Destination } from './connect.ts';
export { type HttpAnswer, HttpOverTls, type HttpRequest } from './http.ts';
export {
  OcspClient,
  type OcspOptions,
  type Revocation,
  responderInCertificate,
  type StatusSource,
} from './ocsp-client.ts';
export { clientTlsOptions, createTlsServer, type TlsIdentity } from './options.ts';
export {
  checkPeer,
  type ExpectedPeer,
  type PeerRule,
  type PeerRules,
  type PeerVerdict,
  peerCertificates,
} from './peer.ts';
